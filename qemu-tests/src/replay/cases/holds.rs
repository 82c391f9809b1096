//! Sequences that hold: what the boot transaction is made of.
//!
//! What makes them hold, as measured: a file's slot in its folder is one sector, written by `fsync` of the file alone;
//! `fsync` of a folder writes the FAT and flushes, but not the folder's slots; `syncfs` writes everything and does not
//! flush; and a file's clusters are given back when the last descriptor is closed, so whoever holds a file open while
//! its name goes decides the order.

use super::*;

/// What holds, whatever the kernel's habits named are.
pub const HOLDS: &[Case] = &[
    Case {
        name: "new-by-tmp",
        about: "write x.tmp, fsync, rename, fsync again, syncfs, fsync(dir)",
        setup: "",
        steps: "create f loader/entries/new.tmp @11:900\nfsync f\n\
                rename loader/entries/new.tmp loader/entries/new-entry-2.conf\nfsync f\nsyncfs\nfsyncdir loader/entries",
        rule: NEW,
        habits: ANY,
    },
    Case {
        name: "new",
        about: "create, reserve, fsync(dir), write, sync_file_range, fsync(dir), fsync, barrier",
        setup: "",
        steps: new_file!("loader/entries/new-entry-2.conf", "loader/entries", "@11:900", "900"),
        rule: |s| {
            NEW(s)?;
            s.apart()
        },
        habits: USUAL,
    },
    Case {
        name: "new-big",
        about: "the same for 100 KB",
        setup: "",
        steps: new_file!("cairn/m/k2-linux", "cairn/m", "@15:100000", "100000"),
        rule: |s| {
            s.holds("cairn/m/k2-linux", &["absent", "empty", "new-big"], &["new-big"])?;
            s.apart()
        },
        habits: USUAL,
    },
    Case {
        name: "replace",
        about: "as the boot transaction does it: the old file held open, the new one written as a new one, rename over, fsync, barrier, close",
        setup: OLD_PROGRAM,
        steps: concat!("close o\n", replaced!("EFI/a/boot.efi", "EFI/a/boot.efi.new", "EFI/a", "@15:100000", "100000")),
        rule: |s| {
            s.holds(PROGRAM, &["old-big", "new-big"], &["new-big"])?;
            s.holds("EFI/a/boot.efi.new", &["absent", "empty", "new-big"], &["absent"])
        },
        habits: USUAL,
    },
    Case {
        name: "over-held",
        about: "replace: the old file held open; tmp, fsync, rename over, fsync, barrier, close, barrier",
        setup: OLD_CONF,
        steps: "create f loader/loader.conf.tmp @11:900\nfsync f\nrename loader/loader.conf.tmp loader/loader.conf\n\
                fsync f\nsyncfs\nfsyncdir loader\nclose o\nsyncfs\nfsyncdir loader",
        rule: |s| {
            REPLACED(s)?;
            s.apart()
        },
        habits: ANY,
    },
    Case {
        name: "over-held-big",
        about: "the same for a program of 90 KB",
        setup: OLD_PROGRAM,
        steps: "create f EFI/a/boot.new @15:100000\nfsync f\nrename EFI/a/boot.new EFI/a/boot.efi\n\
                fsync f\nsyncfs\nfsyncdir EFI/a\nclose o\nsyncfs\nfsyncdir EFI/a",
        rule: |s| {
            s.holds(PROGRAM, &["old-big", "new-big"], &["new-big"])?;
            s.apart()
        },
        habits: ANY,
    },
    Case {
        name: "exchange",
        about: "replace: tmp, fsync, barrier, exchange, fsync(new), barrier, unlink, barrier",
        setup: OLD_CONF,
        steps: "create f loader/loader.conf.tmp @11:900\nfsync f\nsyncfs\nfsyncdir loader\n\
                exchange loader/loader.conf.tmp loader/loader.conf\nfsync f\nsyncfs\nfsyncdir loader\n\
                unlink loader/loader.conf.tmp\nsyncfs\nfsyncdir loader",
        rule: REPLACED,
        habits: ANY,
    },
    Case {
        name: "one-sector-in-place",
        about: "loader.conf, grub.cfg, grubenv of 512 bytes: pwrite of all of it, fsync",
        setup: "create o loader/loader.conf @12:512\nfsync o\nclose o",
        steps: "open f loader/loader.conf\npwrite f 0 @13:512\nfsync f",
        rule: |s| s.holds(CONF, &["old512", "new512"], &["new512"]),
        habits: ANY,
    },
    Case {
        name: "bless",
        about: "blessing: a new plain entry, then the counted one goes, held open",
        setup: OLD_COUNTED,
        steps: concat!(
            "close o\n",
            new_file!("loader/entries/new-entry-2.conf", "loader/entries", "@10:700", "700"),
            "close f\n",
            gone!("loader/entries/new-entry-2+2-1.conf", "loader/entries")
        ),
        rule: |s| {
            one_of_both(s)?;
            s.holds(COUNTED, &["old", "absent"], &["absent"])?;
            s.apart()
        },
        habits: USUAL,
    },
    Case {
        name: "delete",
        about: "deletion, held open: entry, barrier, close, barrier, kernel, barrier, close, barrier",
        setup: OLD_ENTRY,
        steps: concat!(
            gone!("loader/entries/old-entry-0.conf", "loader/entries"),
            gone!("cairn/m/k0-linux", "cairn/m")
        ),
        rule: entry_before_kernel,
        habits: ANY,
    },
    Case {
        name: "mkdir",
        about: "a new folder: mkdir, fsync(new), syncfs, fsync(parent), then its first file",
        setup: "",
        steps: concat!(
            "mkdir cairn/n\nfsyncdir cairn/n\nsyncfs\nfsyncdir cairn\n",
            new_file!("cairn/n/k2-linux", "cairn/n", "@11:900", "900")
        ),
        rule: |s| s.holds("cairn/n/k2-linux", &["absent", "empty", "new"], &["new"]),
        habits: USUAL,
    },
    Case {
        name: "grow",
        about: "entries in a folder that must grow by a cluster",
        setup: MANY,
        steps: concat!(
            new_file!("loader/entries/new-entry-2.conf", "loader/entries", "@11:900", "900"),
            new_file!(
                "loader/entries/an-entry-that-needs-many-slots-for-its-long-name-of-many-letters-91.conf",
                "loader/entries",
                "@11:900",
                "900"
            ),
            new_file!(
                "loader/entries/an-entry-that-needs-many-slots-for-its-long-name-of-many-letters-92.conf",
                "loader/entries",
                "@11:900",
                "900"
            )
        ),
        rule: |s| {
            NEW(s)?;
            for n in ["91", "92"] {
                let path =
                    format!("loader/entries/an-entry-that-needs-many-slots-for-its-long-name-of-many-letters-{n}.conf");
                s.holds(&path, &["absent", "empty", "new"], &["new"])?;
            }
            Ok(())
        },
        habits: USUAL,
    },
];

macro_rules! many {
    ($($number:literal)*) => {
        concat!($("create o loader/entries/an-entry-that-needs-many-slots-for-its-long-name-of-many-letters-", $number, ".conf @10:700\nfsync o\n"),*)
    };
}
const MANY: &str = many!(10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25);
