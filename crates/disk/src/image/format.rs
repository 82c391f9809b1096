//! The one table of the formats that a disk image can have.

/// A format that is written and read here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Format {
    /// The disk's bytes as they are.
    Raw,
    /// QEMU's copy-on-write format.
    Qcow2,
}

impl Format {
    /// All of them, in the order in which they are named to people.
    pub const ALL: [Format; 2] = [Format::Raw, Format::Qcow2];

    /// The name that QEMU knows it by. Files of it end in it, too.
    pub fn name(self) -> &'static str {
        match self {
            Format::Raw => "raw",
            Format::Qcow2 => "qcow2",
        }
    }

    /// What it is, in a sentence.
    pub fn about(self) -> &'static str {
        match self {
            Format::Raw => "The disk byte for byte, with holes",
            Format::Qcow2 => "QEMU's own format, version 3",
        }
    }

    /// The format of this name.
    pub fn by_name(name: &str) -> Option<Format> {
        Format::ALL.into_iter().find(|format| format.name() == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_format_is_found_by_its_name() {
        for format in Format::ALL {
            assert_eq!(Format::by_name(format.name()), Some(format));
        }
        assert_eq!(Format::by_name("vmdk"), None);
    }
}
