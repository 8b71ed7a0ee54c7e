"""Write the resolved settings of params.yaml for each kind of run, so that DVC repeats the runs whose settings changed.

It runs at every `dvc repro`, because DVC itself does not watch the files that params.yaml names, or keys that no stage
depends on.
"""

from src.params import PARAMS_FILE, read_yaml
from src.repository.settings import SETTINGS_FOLDER, settings_files
from src.study.named.overrides import checked_content
from src.system.errors import stage
from src.system.files import new_folder, put_back, write_json


@stage
def main() -> None:
    put_back(SETTINGS_FOLDER)  # `settings_files` reads its fingerprints before it is replaced
    files = settings_files(checked_content(PARAMS_FILE, read_yaml(PARAMS_FILE)))

    with new_folder(SETTINGS_FOLDER) as folder:
        for path, content in files.items():
            write_json(folder / path.relative_to(SETTINGS_FOLDER), content)


if __name__ == "__main__":
    main()
