//! Builds the initrd's helper as a static program, and a hash of this crate's own sources.
//!
//! The helper gets a target folder of its own, because the one in use is locked by the cargo that runs this script, and
//! an environment of its own, so that its bytes do not depend on how the rest is built. All ways to build the rest share that
//! folder, and its lock: it is built once.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::path::{Path, PathBuf};

const TARGET: &str = "x86_64-unknown-linux-gnu";

/// What the helper is made of, relative to the workspace.
const SOURCES: [&str; 3] = ["crates/stage1", "crates/process", "Cargo.lock"];

fn main() {
    let here = PathBuf::from(variable("CARGO_MANIFEST_DIR"));
    let workspace = here.parent().and_then(Path::parent).expect("the crate is two folders below the workspace");
    for source in SOURCES {
        println!("cargo::rerun-if-changed={}", workspace.join(source).display());
    }
    println!("cargo::rerun-if-changed={}", here.join("src").display());
    println!("cargo::rerun-if-changed={}", here.join("build.rs").display());
    println!("cargo::rustc-env=CAIRN_STAGE1={}", helper(workspace).display());
    println!("cargo::rustc-env=CAIRN_SYSTEM_CODE={:016x}", hash_of(&here.join("src")));
}

fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("cargo sets {name}"))
}

/// The folder above those of the profiles: this script's own is `PROFILE/build/PACKAGE-HASH/out` below it.
fn shared(out: &Path) -> &Path {
    out.ancestors().nth(4).expect("OUT_DIR is four folders deep")
}

// Not through cairn-process: a build script cannot use the crates that it is a part of.
#[allow(clippy::disallowed_methods)]
fn helper(workspace: &Path) -> PathBuf {
    let out = shared(&PathBuf::from(variable("OUT_DIR"))).join("stage1");
    let home = std::env::var("CARGO_HOME").map(PathBuf::from).ok();
    let home = home.or_else(|| std::env::home_dir().map(|h| h.join(".cargo"))).unwrap_or_default();
    let flags = [
        "-Ctarget-feature=+crt-static".to_string(),
        // A fixed address: a static program that is moved about at its start gains nothing in an initrd.
        "-Crelocation-model=static".to_string(),
        format!("--remap-path-prefix={}=/cairn", workspace.display()),
        format!("--remap-path-prefix={}=/cargo", home.display()),
        format!("--remap-path-prefix={}=/target", out.display()),
    ];
    let mut command = std::process::Command::new(variable("CARGO"));
    for (name, _) in std::env::vars_os() {
        let name_text = name.to_string_lossy();
        let ours = name_text.starts_with("CARGO") || name_text.contains("RUSTC") || name_text.contains("RUSTFLAGS");
        let keep = ["CARGO_HOME", "CARGO_MAKEFLAGS", "CARGO_NET_OFFLINE", "RUSTUP_TOOLCHAIN"];
        if ours && !keep.contains(&&*name_text) {
            command.env_remove(&name);
        }
    }
    let status = command
        .current_dir(workspace)
        .args(["build", "--quiet", "--locked", "--release", "--package", "cairn-stage1", "--target", TARGET])
        .arg("--target-dir")
        .arg(&out)
        .env("CARGO_ENCODED_RUSTFLAGS", flags.join("\x1f"))
        .env("CARGO_PROFILE_RELEASE_OPT_LEVEL", "z")
        .env("CARGO_PROFILE_RELEASE_PANIC", "abort")
        .env("CARGO_PROFILE_RELEASE_LTO", "fat")
        .env("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "1")
        .env("CARGO_PROFILE_RELEASE_STRIP", "symbols")
        .env("CARGO_INCREMENTAL", "0")
        .status();
    let built = status.as_ref().is_ok_and(std::process::ExitStatus::success);
    assert!(built, "building the initrd's helper (cargo build -p cairn-stage1 --target {TARGET}): {status:?}");
    out.join(TARGET).join("release/cairn-stage1")
}

/// A hash of the names and contents below a folder: a system made by other code is another system.
fn hash_of(folder: &Path) -> u64 {
    let mut hasher = DefaultHasher::new();
    let mut waiting = vec![folder.to_path_buf()];
    let mut files = Vec::new();
    while let Some(folder) = waiting.pop() {
        for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() { waiting.push(path) } else { files.push(path) }
        }
    }
    files.sort();
    for file in files {
        file.strip_prefix(folder).unwrap_or(&file).hash(&mut hasher);
        std::fs::read(&file).unwrap_or_default().hash(&mut hasher);
    }
    hasher.finish()
}
