"""A web server on loopback that answers as it is told, badly if need be."""
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Server:
    """Gives ``data`` for every path; ``plan`` is what each request meets.

    The last answer of the plan is repeated. ``asked`` has ``(path, Range)``
    of all requests.
    """

    def __init__(self, data):
        self.data, self.plan, self.asked = data, [whole], []
        self.done = threading.Event()
        self._lock = threading.Lock()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = 'HTTP/1.1'
            done = self.done

            def do_GET(self):
                with outer._lock:
                    number = len(outer.asked)
                    outer.asked.append((self.path, self.headers['Range']))
                answer = outer.plan[min(number, len(outer.plan) - 1)]
                self.close_connection = True
                answer(self, outer.data)

            def log_message(self, *args):
                pass

        self._http = ThreadingHTTPServer(('127.0.0.1', 0), Handler)
        # Clients go away in the middle, as they should.
        self._http.handle_error = lambda request, address: None
        self.url = f'http://127.0.0.1:{self._http.server_port}'
        threading.Thread(
            target=self._http.serve_forever, args=(.02, ),
            daemon=True).start()

    def close(self):
        self.done.set()
        self._http.shutdown()
        self._http.server_close()


def head(handler, status=200, **headers):
    handler.send_response(status)
    handler.send_header('Connection', 'close')
    for name, value in headers.items():
        handler.send_header(name.replace('_', '-'), str(value))
    handler.end_headers()


def first_byte(handler):
    asked = handler.headers['Range'] or 'bytes=0-'
    return int(asked.removeprefix('bytes=').rstrip('-'))


def whole(handler, data, wrong_start=0):
    """The file; the rest of it when a range is asked for."""
    start = first_byte(handler)
    if start >= len(data):
        head(handler, 416, Content_Range=f'bytes */{len(data)}')
        return
    extra = {}
    if start:
        extra['Content_Range'] = (
            f'bytes {start + wrong_start}-{len(data) - 1}/{len(data)}')
    head(
        handler,
        206 if start else 200,
        Content_Length=len(data) - start,
        **extra)
    handler.wfile.write(data[start:])


def without_ranges(handler, data):
    """The whole file, whatever is asked for."""
    head(handler, Content_Length=len(data))
    handler.wfile.write(data)


def cut_after(number, ranges=True, length=True):
    """Close the connection in the middle."""

    def answer(handler, data):
        start = first_byte(handler) if ranges else 0
        headers = {}
        if length:
            headers['Content_Length'] = len(data) - start
        if start:
            headers['Content_Range'] = (
                f'bytes {start}-{len(data) - 1}/{len(data)}')
        head(handler, 206 if start else 200, **headers)
        handler.wfile.write(data[start:start + number])

    return answer


def lying_length(difference):
    """Announce more (then close) or fewer bytes than the file has."""

    def answer(handler, data):
        head(handler, Content_Length=len(data) + difference)
        handler.wfile.write(data[:len(data) + min(difference, 0)])

    return answer


def status(code, **headers):

    def answer(handler, data):
        head(handler, code, Content_Length=0, **headers)

    return answer


def redirect(path):
    return status(302, Location=path)


def web_page(kind='text/html; charset=utf-8'):

    def answer(handler, data):
        page = b'\n<!DOCTYPE html><html><title>Sign in</title></html>'
        head(handler, Content_Length=len(page), Content_Type=kind)
        handler.wfile.write(page)

    return answer


def stall_after(number):

    def answer(handler, data):
        start = first_byte(handler)
        extra = {}
        if start:
            extra['Content_Range'] = (
                f'bytes {start}-{len(data) - 1}/{len(data)}')
        head(
            handler,
            206 if start else 200,
            Content_Length=len(data) - start,
            **extra)
        handler.wfile.write(data[start:start + number])
        handler.wfile.flush()
        handler.done.wait(30)

    return answer


def another_file(handler, data):
    whole(handler, bytes(255 - byte for byte in data))


def endless(handler, data):
    """No length and no end; stops when nobody listens."""
    head(handler)
    try:
        while not handler.done.is_set():
            handler.wfile.write(data)
    except OSError:
        pass


def slow(seconds):

    def answer(handler, data):
        time.sleep(seconds)
        whole(handler, data)

    return answer
