"""A real MariaDB for tests, from Debian's package mariadb-server-core, with a password required on 127.0.0.1."""

import os
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path

import duckdb

from jobs.warehouse.connection import literal
from jobs.warehouse.extensions import load_extension

PASSWORD = "it's a s3cret \\ with signs"
"""A password that a connection text and SQL must each quote in their way."""
SYSTEM_TABLES = [Path("/usr/share/mysql") / f"mysql_system_tables{part}.sql" for part in ("", "_data")]
"""Files of the package, which make the tables in which a server keeps its users."""


def installed_program() -> str | None:
    """Return the server's program, or None if MariaDB is not installed with the files that make a new database."""
    program = shutil.which("mariadbd", path=f"{os.environ['PATH']}{os.pathsep}/usr/sbin")
    return program if all(file.exists() for file in SYSTEM_TABLES) else None


class MariaDbServer:
    """A server in a temporary folder, whose time zone is five hours behind UTC. As root, it runs as the user nobody."""

    user = "reader"
    password = PASSWORD

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="nextmart-mariadb-"))
        self.folder.chmod(0o755)
        (self.folder / "data" / "mysql").mkdir(parents=True)
        if os.geteuid() == 0:
            for path in (self.folder, self.folder / "data", self.folder / "data" / "mysql"):
                shutil.chown(path, "nobody")
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        # the server reads each line of this file as one statement
        users = self.folder / "users.sql"
        name, password = f"{self.user}@'127.0.0.1'", self.password.replace("\\", "\\\\").replace("'", "''")
        users.write_text(
            f"create user {name} identified by '{password}';\ngrant all on *.* to {name};\ncreate database shop;\n"
        )
        self.command = [
            str(installed_program()), "--no-defaults", f"--datadir={self.folder / 'data'}",
            "--innodb-buffer-pool-size=8M", "--innodb-log-file-size=4M", "--innodb-flush-log-at-trx-commit=0",
            *(["--user=nobody"] if os.geteuid() == 0 else []),
        ]  # fmt: skip
        statements = ["use mysql;", "set @auth_root_socket = null;", *(file.read_text() for file in SYSTEM_TABLES)]
        done = subprocess.run(
            [*self.command, "--bootstrap", "--skip-networking"],
            input="\n".join(statements), capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        self.log = (self.folder / "log").open("w")
        self.process = subprocess.Popen(
            [*self.command, "--bind-address=127.0.0.1", f"--port={self.port}", f"--socket={self.folder / 'socket'}",
             f"--init-file={users}", "--skip-name-resolve", "--default-time-zone=-05:00", "--sql-mode="],
            stdout=self.log, stderr=self.log,
        )  # fmt: skip
        self.client = duckdb.connect()
        load_extension(self.client, "mysql_scanner")
        self.client.execute("set mysql_session_time_zone = '+00:00'")
        self._connect_client()

    def _connect_client(self) -> None:
        self.client.execute(
            f"create secret (type mysql, host '127.0.0.1', port {self.port}, user {literal(self.user)}, "
            f"password {literal(self.password)}, database 'shop')"
        )
        for _ in range(200):
            assert self.process.poll() is None, (self.folder / "log").read_text()
            try:
                self.client.execute("attach '' as server (type mysql)")
                return
            except duckdb.IOException:
                time.sleep(0.05)
        raise AssertionError((self.folder / "log").read_text())

    def close(self) -> None:
        self.client.close()
        self.process.kill()
        self.process.wait()
        self.log.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def execute(self, *statements: str) -> None:
        """Run statements in the server's own SQL."""
        for statement in statements:
            self.client.execute("call mysql_execute('server', ?)", [statement])

    def text(self) -> str:
        """Return the connection text, with the password in the environment variable SHOP_PASSWORD."""
        where = f"host=127.0.0.1 port={self.port} database=shop"
        return f"{where} user={self.user} password=${{SHOP_PASSWORD}}"
