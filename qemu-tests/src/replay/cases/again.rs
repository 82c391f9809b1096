//! The run after a power cut: whatever it finds, it comes to the same end, and harms nothing that is whole.

use super::*;

/// What another run does.
#[derive(Debug, Clone, Copy)]
pub struct Again {
    /// The case whose states it begins with.
    pub case: &'static str,
    /// What it does.
    pub steps: &'static str,
    /// What must hold then, besides that every file is whole and owns its clusters alone.
    pub end: Rule,
}

/// Taken, from what is free, by the next update: were these another file's, that would be seen.
const NEXT: &str = new_file!("cairn/m/next-linux", "cairn/m", "@14:90000", "90000");

impl Again {
    /// All of it.
    pub fn script(&self) -> String {
        format!("mark begin\n{}{NEXT}mark end\n", self.steps)
    }
}

/// The boot transaction's own sequences.
pub const AGAIN: &[Again] = &[
    Again {
        case: "new",
        steps: concat!(
            gone!("loader/entries/new-entry-2.conf", "loader/entries"),
            new_file!("loader/entries/new-entry-2.conf", "loader/entries", "@11:900", "900")
        ),
        end: |s| s.holds(ENTRY, &[], &["new"]),
    },
    Again {
        case: "new-big",
        steps: concat!(
            gone!("cairn/m/k2-linux", "cairn/m"),
            new_file!("cairn/m/k2-linux", "cairn/m", "@15:100000", "100000")
        ),
        end: |s| s.holds("cairn/m/k2-linux", &[], &["new-big"]),
    },
    Again {
        case: "replace",
        steps: replaced!("EFI/a/boot.efi", "EFI/a/boot.efi-1.new", "EFI/a", "@10:700", "700"),
        end: |s| {
            s.holds(PROGRAM, &[], &["old"])?;
            s.holds("EFI/a/boot.efi.new", &[], &["absent"])
        },
    },
    Again {
        case: "bless",
        steps: concat!(
            gone!("loader/entries/new-entry-2.conf", "loader/entries"),
            new_file!("loader/entries/new-entry-2.conf", "loader/entries", "@10:700", "700"),
            "close f\n",
            gone!("loader/entries/new-entry-2+2-1.conf", "loader/entries")
        ),
        end: |s| {
            s.holds(ENTRY, &[], &["old"])?;
            s.holds(COUNTED, &[], &["absent"])
        },
    },
    Again {
        case: "delete",
        steps: concat!(
            gone!("loader/entries/old-entry-0.conf", "loader/entries"),
            gone!("cairn/m/k0-linux", "cairn/m")
        ),
        end: entry_before_kernel,
    },
];
