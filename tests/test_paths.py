from rim_eval.paths import attacks_dir, judges_dir, tasks_dir


def test_data_folders_hold_no_python() -> None:
    for folder in (tasks_dir(), judges_dir(), attacks_dir()):
        assert folder.is_dir()
        assert not list(folder.rglob("*.py"))
