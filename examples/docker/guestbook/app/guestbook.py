"""A guest book by HTTP: POST adds an entry, GET lists them, one a line. Entries are in PostgreSQL."""

import sys
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import psycopg2


def connect():
    with open("/run/secrets/password", encoding="utf-8") as secret:
        password = secret.read().strip()
    return psycopg2.connect(host="db", user="guestbook", dbname="postgres", password=password, connect_timeout=5)


def query(text, values=()):
    connection = connect()
    try:
        with connection, connection.cursor() as cursor:
            cursor.execute("CREATE TABLE IF NOT EXISTS entry (id SERIAL PRIMARY KEY, text TEXT NOT NULL)")
            cursor.execute(text, values)
            return cursor.fetchall() if cursor.description else []
    finally:
        connection.close()


class Handler(BaseHTTPRequestHandler):
    def answer(self, code, text):
        body = text.encode()
        self.send_response(code)
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        rows = query("SELECT text FROM entry ORDER BY id")
        self.answer(200, "".join(f"{text}\n" for (text,) in rows))

    def do_POST(self):
        length = int(self.headers.get("Content-Length", 0))
        query("INSERT INTO entry (text) VALUES (%s)", (self.rfile.read(length).decode(),))
        self.answer(201, "thank you\n")


if sys.argv[1] == "check":
    urllib.request.urlopen("http://127.0.0.1:8000/", timeout=5).read()
else:
    ThreadingHTTPServer(("", 8000), Handler).serve_forever()
