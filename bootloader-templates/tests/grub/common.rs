//! Menus to render, and GRUB's programs that judge them.

use std::io::Write;
use std::process::{Command, Output, Stdio};

use bootloader_templates::grub::{Boots, Config, Extra, Generation, Kernel, Memtest, Password, Serial, Trial, Variant};

pub const HASH: &str = "grub.pbkdf2.sha512.10000.0123456789ABCDEF.FEDCBA9876543210";

/// Runs one of GRUB's programs, which says little. One that is not installed is a failure in CI, and elsewhere told as a skip.
#[expect(clippy::disallowed_methods, reason = "this crate is pure and has no door for child processes")]
pub fn grub(program: &str, args: &[&str], input: &str) -> Option<Output> {
    let child = Command::new(program)
        .args(args)
        .env("LC_ALL", "C")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut child = match child {
        Ok(child) => child,
        Err(error) => {
            cairn_testkit::skip(format_args!("{program} (package grub-common): {error}"));
            return None;
        }
    };
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    Some(child.wait_with_output().unwrap())
}

/// Lets GRUB's own parser judge a script.
#[track_caller]
pub fn check(script: &str) {
    if let Some(output) = grub("grub-script-check", &[], script) {
        assert!(output.status.success(), "{}\n{script}", String::from_utf8_lossy(&output.stderr));
    }
}

pub fn kernel(mark: &str) -> Kernel {
    Kernel {
        linux: format!("/cairn/0123abcd/{mark}-linux"),
        initrd: vec![format!("/cairn/0123abcd/{mark}-initrd")],
        params: vec![format!("init=/nix/store/{mark}-system/init"), "root=UUID=1".into(), "quiet".into()],
    }
}

pub fn generation(number: u32, mark: &str, good: bool) -> Generation {
    Generation {
        id: format!("{number}-{mark}"),
        title: format!("hello, generation {number} (Linux 6.12.107, 2026-11-15)"),
        kernel: kernel(mark),
        good,
        variants: Vec::new(),
    }
}

/// One generation, and nothing that can be left out.
pub fn least() -> Config {
    Config { generations: vec![generation(1, "aaaa", true)], default: "1-aaaa".into(), timeout: 3, ..Config::default() }
}

/// Everything that there is.
pub fn most() -> Config {
    let mut third = generation(3, "cccc", false);
    third.kernel.params.push("cairn.trial".into());
    let mut second = generation(2, "bbbb", true);
    second.variants = vec![Variant { name: "text".into(), kernel: kernel("dddd"), good: true }];
    Config {
        generations: vec![third, second, generation(1, "aaaa", true)],
        default: "2-bbbb".into(),
        trial: Some(Trial { id: "3-cccc".into(), key: "3".into(), tries: 3 }),
        remember: true,
        password: Some(Password { user: "admin".into(), hash: HASH.into() }),
        serial: Serial::from_console("ttyS0,115200n8"),
        extra: vec![
            Extra {
                name: "net".into(),
                title: "Network".into(),
                boots: Boots::Efi { path: "/EFI/net/boot.efi".into(), options: vec!["-x".into()] },
                restricted: false,
            },
            Extra {
                name: "old".into(),
                title: "Somebody's old system".into(),
                boots: Boots::Linux(Kernel {
                    linux: "/old/vmlinuz".into(),
                    initrd: Vec::new(),
                    params: vec!["root=/dev/sdb1 ro".into()],
                }),
                restricted: true,
            },
        ],
        memtest: Some(Memtest {
            bios: Some("/cairn/0123abcd/memtest.bin".into()),
            efi: Some("/cairn/0123abcd/memtest.efi".into()),
        }),
        other_systems: true,
        firmware_setup: true,
        ..least()
    }
}
