#!/usr/bin/env python3
"""Stand-ins for the CUDA libraries that PyPI's torch wants to see before it computes on a CPU.

usage: cuda_stubs.py TORCH_LIB OUT

The wheel links 2 GB of libraries that no computation on a CPU calls. Each stand-in exports the symbols,
with their versions, that the libraries of torch in TORCH_LIB take from it; all of them end the process.
The reference side of the parity tests imports torch with OUT in LD_LIBRARY_PATH; nothing else does.
"""
import pathlib
import re
import subprocess
import sys

# Libraries whose symbols have no version, by how their symbols begin.
PREFIXES = {"nccl": "libnccl.so", "curand": "libcurand.so", "cuFile": "libcufile.so", "cusparseLt": "libcusparseLt.so"}
# A library whose version is not its name.
VERSIONS = {"NVSHMEM": "libnvshmem_host.so"}


def output(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def main():
    lib, out = map(pathlib.Path, sys.argv[1:])
    out.mkdir(parents=True, exist_ok=True)
    present = {path.name for path in lib.glob("*.so*")} | {"libcudart.so.13", "libcupti.so.13"}
    needed, symbols = set(), set()
    for path in sorted(lib.glob("*.so")):
        needed |= set(re.findall(r"NEEDED.*\[(lib(?:cu|nccl|nvshmem|nvrtc|nvJit).*)\]", output("readelf", "-d", path)))
        undefined = output("nm", "-D", "--undefined-only", path).split("\n")
        symbols |= {tuple(line.split()[-1].partition("@")[::2]) for line in undefined if line.split()}
    for library in sorted(needed - present):
        stem = library.split(".so")[0] + ".so"
        wanted = {}
        for name, version in symbols:
            prefixed = [PREFIXES[prefix] for prefix in PREFIXES if not version and name.startswith(prefix)]
            if version.lstrip("@") == library or VERSIONS.get(version.lstrip("@")) == stem or stem in prefixed:
                wanted.setdefault(version.lstrip("@"), set()).add(name)
        code = "extern void abort(void);\n" + "".join(
            f"void {name}(void) {{ abort(); }}\n" for names in wanted.values() for name in sorted(names)
        )
        script = "".join(f'{version} {{ {"; ".join(sorted(names))}; }};\n' for version, names in wanted.items() if version)
        (out / "stub.c").write_text(code)
        (out / "stub.map").write_text(script)
        versions = [f"-Wl,--version-script={out / 'stub.map'}"] if script else []
        subprocess.run(
            ["cc", "-shared", "-fPIC", "-w", "-fno-builtin", f"-Wl,-soname,{library}", *versions]
            + ["-o", out / library, out / "stub.c"],
            check=True,
        )
    (out / "stub.c").unlink()
    (out / "stub.map").unlink()


if __name__ == "__main__":
    main()
