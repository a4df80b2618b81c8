"""A notebook shows a log as a table of its generators."""

from difficulty import SampleLog


def test_generators_are_rows_and_their_names_are_text() -> None:
    log = SampleLog.from_frame(
        {
            "id": ["a", "a", "b", "b"],
            "model": ["<b>x</b>", "<b>x</b>", "<b>x</b>", "y"],
            "correct": [1, 0, None, None],
        }
    )
    shown = log._repr_html_()
    assert "<tr><th>&lt;b&gt;x&lt;/b&gt;</th><td>2</td><td>3</td><td>50.0%</td></tr>" in shown
    assert "<tr><th>y</th><td>1</td><td>1</td><td>not known</td></tr>" in shown
    assert "SampleLog(2 prompts, 2 generators, 4 samples; with counts only)" in shown
