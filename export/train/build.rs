//! Lets the binaries and tests of this crate find libtorch without any environment at run time.

use std::env;
use std::path::PathBuf;

fn main() {
    println!("cargo:rerun-if-env-changed=LIBTORCH");
    // Where it is not set, tch's own build script says what is missing.
    let Ok(libtorch) = env::var("LIBTORCH") else { return };
    let manifest = PathBuf::from(env::var("CARGO_MANIFEST_DIR").expect("cargo sets CARGO_MANIFEST_DIR"));
    let root = manifest.ancestors().nth(2).expect("the crate lies two folders below the workspace");
    // `join` keeps an absolute LIBTORCH as it is.
    let lib = root.join(libtorch).join("lib");
    println!("cargo:rustc-link-arg=-Wl,-rpath,{}", lib.display());
}
