//! What is wrong with a tree is told, while mmdebstrap still writes the rest of it.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use cairn_process::Tool;
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;

use crate::fixture::{Fixture, STREAM, told};

fn says(fill: impl FnOnce(&Path), message: &str) {
    let Some(made) = Fixture::new(STREAM) else { return };
    made.stream(fill);
    let (code, err) = made.ran();
    assert_eq!(code, Some(1), "{err}");
    assert!(err.contains(message), "{err}");
}

#[test]
fn two_kernels() {
    says(
        |tree| fs::write(tree.join("boot/vmlinuz-6.2"), "kernel").unwrap(),
        "two kernels, 6.1 and 6.2: a machine has one",
    );
}

#[test]
fn a_fifo() {
    says(
        |tree| mkfifo(&tree.join("usr/fifo"), Mode::from_bits_truncate(0o644)).unwrap(),
        "usr/fifo is of a kind that a base cannot hold",
    );
}

#[test]
fn a_name_that_is_not_utf8() {
    let name = OsStr::from_bytes(b"usr/\xff");
    says(|tree| fs::write(tree.join(name), "").unwrap(), "the name of usr/\u{fffd} is not UTF-8");
}

#[test]
fn a_hard_link_to_what_is_left_out_is_none_and_what_is_wrong_after_it_is_told() {
    let fill = |tree: &Path| {
        fs::write(tree.join("boot/config-6.1"), "config").unwrap();
        fs::hard_link(tree.join("boot/config-6.1"), tree.join("usr/lib/modules/6.1/config")).unwrap();
    };
    // The tree is no system; but for that it has all that the stream is asked for.
    says(fill, "there is no var/lib/dpkg/status in it");
}

#[test]
fn a_stream_that_is_no_tar() {
    let Some(made) = Fixture::new(STREAM) else { return };
    fs::write(made.path("stream.tar"), vec![b'x'; 1 << 20]).unwrap();
    let (code, err) = made.ran();
    assert_eq!(code, Some(1), "{err}");
    assert!(err.contains("reading the tar stream"), "{err}");
}

#[test]
fn what_mmdebstrap_says_when_it_fails() {
    let Some(made) = Fixture::new("echo 'E: it broke' >&2\nkill -HUP 0\nexit 1\n") else { return };
    let (code, err) = made.ran();
    assert_eq!(code, Some(1), "{err}");
    assert!(err.contains("installing the packages: mmdebstrap says:\nE: it broke"), "{err}");
}

#[test]
fn no_room_in_the_cache() {
    let Some(made) = Fixture::new(STREAM) else { return };
    made.stream(|_| ());
    if Tool::new("unshare", "util-linux", "test").args(["--mount", "true"]).run().is_err() {
        cairn_testkit::skip("needs mounts");
        return;
    }
    let script = "mkdir full && mount -t tmpfs -o size=12m none full && cp -a cache/cairn full/ && \
                  XDG_CACHE_HOME=$PWD/full exec \"$0\" build m.yaml";
    let args = ["--mount", "sh", "-c", script, env!("CARGO_BIN_EXE_cairn")];
    let (code, err) = told(&made.build("unshare", &args).output().unwrap());
    assert_eq!(code, Some(1), "{err}");
    assert!(err.contains("var/zz/large: No space left on device"), "{err}");
}
