#!/usr/bin/env python3
"""Prints what the bus's socket delivers, as `weir tap --json` does: `tap.py SOCKET PATTERN... [--count ROWS]`.

A whole client, written from docs/protocol.md alone. The columns of each kind are read from that page's tables.
"""
import argparse, json, math, pathlib, re, socket, struct, sys

PAGE = (pathlib.Path(__file__).resolve().parents[2] / "docs/protocol.md").read_text(encoding="utf-8")
KINDS = {int(number): (name, re.findall(r"^\| `(\w+)` \| ([\w-]+) \|", table, re.M))
         for number, name, table in re.findall(r"^### Kind (\d+): (\w+)\n(.*?)(?=^### |^<!--)", PAGE, re.M | re.S)}
FIXED = {"u16": "H", "u32": "I", "u64": "Q", "i32": "i", "f64": "d", "timestamp-ns": "q"}

def number(value):
    return bytes([value]) if value < 128 else bytes([value & 127 | 128]) + number(value >> 7)

def text(value):
    return number(len(value.encode())) + value.encode()

def frame(kind, header):
    total = (8 + len(header) + 7) // 8 * 8
    return (struct.pack("<IBBH", total - 4, kind, 0, len(header)) + header).ljust(total, b"\0")

class Frame:
    """One frame: its header's fields are read one after the other; its payload is what is left."""
    def __init__(self, data):
        self.type, header_bytes = data[4], struct.unpack_from("<H", data, 6)[0]
        self.align = 8 if len(data) < 4096 else 64
        self.header, self.payload = iter(data[8:8 + header_bytes]), data[self.aligned(8 + header_bytes):]
    def aligned(self, place):
        return (place + self.align - 1) // self.align * self.align
    def number(self):
        byte = next(self.header)
        return byte if byte < 128 else byte & 127 | self.number() << 7
    def text(self):
        return bytes(next(self.header) for _ in range(self.number())).decode()
    def option(self, read):
        return read(self) if self.number() else None
    def fields(self, *reads):
        return [read(self) for read in reads]
    def buffers(self):
        start = 0
        for length in [self.number() for _ in range(self.number())]:
            yield self.payload[start:start + length]
            start = self.aligned(start + length)

def offsets(data, items):
    ends = struct.unpack(f"<{len(data) // 4}i", data)
    return [items[start:end] for start, end in zip(ends, ends[1:])]

def column(kind, rows, buffers):
    valid, first = next(buffers), next(buffers)
    rest = [next(buffers) for _ in range({"utf8": 1, "list-utf8": 2}.get(kind, 0))]
    bit = lambda bits, row: bits[row // 8] >> row % 8 & 1 == 1
    if kind in FIXED:
        values = struct.unpack(f"<{len(first) // struct.calcsize(FIXED[kind])}{FIXED[kind]}", first)
        values = [None if isinstance(value, float) and not math.isfinite(value) else value for value in values]
    elif kind == "bool":
        values = [bit(first, row) for row in range(rows)] if first else []
    else:  # A text that no row has may be anything: it is read only where its row has a value.
        values = offsets(first, rest[0] if kind == "utf8" else offsets(rest[0], rest[1]))
    read = {"utf8": bytes.decode, "list-utf8": lambda list: [item.decode() for item in list]}.get(kind, lambda value: value)
    return [read(values[row]) if values and (not valid or bit(valid, row)) else None for row in range(rows)]

def rows(deliver):
    """The rows of a deliver frame, whose payload is whole publish frames, one after the other."""
    _, position, source = deliver.fields(Frame.number, Frame.number, Frame.text)
    payload = deliver.payload
    while payload:
        size = 4 + struct.unpack_from("<I", payload)[0]
        publish, payload = Frame(payload[:size]), payload[size:]
        (kind, columns), topic = KINDS[publish.number()], publish.text()
        publish.option(lambda snapshot: snapshot.fields(Frame.number, Frame.number))
        _, _, _, count = publish.fields(*[Frame.number] * 4)
        buffers = publish.buffers()
        values = {name: column(type, count, buffers) for name, type in columns}
        del values["source"]  # Who observed the rows; a line says who published them.
        around = {"topic": topic, "source": source, "sequence": None, "position": position, "kind": kind}
        for row in range(count):
            yield {**around, **{name: values[name][row] for name in values}}

def main():
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("socket")
    arguments.add_argument("patterns", nargs="+")
    arguments.add_argument("--count", type=int, default=0, help="end after so many rows; 0: never")
    asked = arguments.parse_args()
    link = socket.socket(socket.AF_UNIX)
    link.connect(asked.socket)
    stream, left, position = link.makefile("rb"), asked.count or math.inf, 0
    patterns = number(len(asked.patterns)) + b"".join(map(text, asked.patterns))
    # Own events; drop the oldest; the broker's queue; no kinds, source, pids, priority, comparison, correlation.
    link.sendall(frame(1, number(1) + text("tap.py")) + frame(4, number(1) + text("tap") + patterns + bytes(12)))
    while head := stream.read(4):
        got = Frame(head + stream.read(struct.unpack("<I", head)[0]))
        if got.type == 7:
            for row in rows(got):
                position = row["position"]
                print(json.dumps(row), flush=True)
                left -= 1
                if not left:
                    return link.sendall(frame(14, text("that was all")))
        elif got.type == 8:
            _, *gap = got.fields(Frame.number, lambda got: got.option(Frame.number), Frame.text, Frame.number, Frame.number)
            print(json.dumps({"gap": dict(zip(("missed", "reason", "from", "to"), gap))}), flush=True)
        elif got.type == 11:
            link.sendall(frame(12, number(got.number()) + bytes(3) + number(position)))
        elif got.type == 13:
            code, message, fatal = got.fields(Frame.text, Frame.text, Frame.number)
            print(f"{code}: {message}", file=sys.stderr, flush=True)
            if fatal:
                sys.exit(1)
        elif got.type == 14:
            return print(got.text(), file=sys.stderr)

main()
