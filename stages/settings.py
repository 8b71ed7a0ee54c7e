"""Write what params.yaml comes to for each kind of run: DVC makes those anew whose settings changed.

It runs at every `dvc repro`, since DVC by itself looks neither at keys of params.yaml that no stage depends on nor at
the files that params.yaml names.
"""

from src.params import PARAMS_FILE, read_yaml
from src.repository.settings import SETTINGS_FOLDER, settings_files
from src.study.named.overrides import checked_content
from src.system.errors import stage
from src.system.files import new_folder, put_back, write_json


@stage
def main() -> None:
    put_back(SETTINGS_FOLDER)  # its fingerprints are read before it is written
    files = settings_files(checked_content(PARAMS_FILE, read_yaml(PARAMS_FILE)))

    with new_folder(SETTINGS_FOLDER) as folder:
        for path, content in files.items():
            write_json(folder / path.relative_to(SETTINGS_FOLDER), content)


if __name__ == "__main__":
    main()
