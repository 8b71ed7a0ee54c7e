"""Write what params.yaml comes to for each kind of run: DVC makes those anew whose settings changed."""

from src.errors import stage
from src.files import new_folder, write_json
from src.params import load_params
from src.settings import SETTINGS_FOLDER, settings_files


@stage
def main() -> None:
    with new_folder(SETTINGS_FOLDER) as folder:
        for path, content in settings_files(load_params()):
            write_json(folder / path, content)


if __name__ == "__main__":
    main()
