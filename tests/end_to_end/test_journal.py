"""The journal tells what was surely durable from what may have been."""

from pathlib import Path

import pytest

from rightfit_server.demo.journal import Journal, entries_of


def test_a_write_is_durable_when_the_block_has_ended(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "ann.journal")
    with journal.writing("ann", "edit", "work_order", "w1", wrote={"title": "A"}):
        assert [entry.is_durable for entry in entries_of([tmp_path / "ann.journal"])] == [False]
    with pytest.raises(OSError, match="disk"), journal.writing("ann", "edit", "work_order", "w1"):
        raise OSError("disk full")
    journal.close()
    assert [entry.is_durable for entry in entries_of([tmp_path / "ann.journal"])] == [True, False]


def test_what_is_committed_together_is_durable_together(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "ann.journal")
    with journal.together():
        for title in ("A", "B"):
            with journal.writing("ann", "edit", "work_order", "w1", wrote={"title": title}):
                pass
        assert not any(entry.is_durable for entry in entries_of([tmp_path / "ann.journal"]))
    journal.close()
    assert [entry.is_durable for entry in entries_of([tmp_path / "ann.journal"])] == [True, True]


def test_a_journal_goes_on_where_it_stopped_and_forgives_a_line_that_was_cut(tmp_path: Path) -> None:
    path = tmp_path / "ann.journal"
    first = Journal(path)
    with first.writing("ann", "edit", "work_order", "w1"):
        pass
    first.close()
    with path.open("ab") as file:
        file.write(b'{"write":{"numb')
    second = Journal(path)
    assert second.number == 1
    with second.writing("ann", "edit", "work_order", "w1"):
        pass
    second.close()
    assert [entry.write.number for entry in entries_of([path])] == [1, 2]
