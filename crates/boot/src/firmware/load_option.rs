//! An entry of the firmware's menu that starts a program from a partition (UEFI specification, `EFI_LOAD_OPTION`, and the
//! device paths "hard drive" and "file path").

use uuid::Uuid;

use super::{from_utf16, utf16};

/// `LOAD_OPTION_ACTIVE`.
const ACTIVE: u32 = 1;
/// Media device path, hard drive.
const HARD_DRIVE: [u8; 2] = [4, 1];
/// Media device path, file path.
const FILE_PATH: [u8; 2] = [4, 4];
/// The end of a device path.
const END: [u8; 4] = [0x7f, 0xff, 4, 0];

/// What a partition is known by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signature {
    /// In a GPT: its GUID.
    Gpt(Uuid),
    /// In an MBR: the disk's signature.
    Mbr(u32),
}

/// The entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoadOption {
    /// What the menu shows.
    pub description: String,
    /// The partition's number.
    pub partition: u32,
    /// Its first sector.
    pub start: u64,
    /// Its sectors.
    pub sectors: u64,
    /// What it is known by.
    pub signature: Signature,
    /// The program's path on it, with slashes and without one at the beginning.
    pub file: String,
}

impl LoadOption {
    /// The variable's contents.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut path = node(HARD_DRIVE, &self.hard_drive());
        let file = format!("\\{}", self.file.replace('/', "\\"));
        path.extend(node(FILE_PATH, &utf16(&file)));
        path.extend(END);
        let mut bytes = ACTIVE.to_le_bytes().to_vec();
        // No path is that long: a partition and a file name.
        bytes.extend(u16::try_from(path.len()).unwrap_or(u16::MAX).to_le_bytes());
        bytes.extend(utf16(&self.description));
        bytes.extend(path);
        bytes
    }

    /// Whether the firmware starts an entry that its order names, whatever it is that it starts.
    pub fn is_active(bytes: &[u8]) -> bool {
        bytes.first_chunk::<4>().is_some_and(|attributes| u32::from_le_bytes(*attributes) & ACTIVE != 0)
    }

    /// Reads a variable. `None` for what does not start a program from a partition, or is damaged.
    pub fn parse(bytes: &[u8]) -> Option<LoadOption> {
        let (_attributes, rest) = bytes.split_at_checked(4)?;
        let (len, rest) = rest.split_at_checked(2)?;
        let (description, rest) = from_utf16(rest)?;
        let mut path = rest.get(..usize::from(u16::from_le_bytes([len[0], len[1]])))?;
        let (mut drive, mut file) = (None, String::new());
        while let Some((head, _)) = path.split_at_checked(4) {
            let len = usize::from(u16::from_le_bytes([head[2], head[3]]));
            let body = path.get(4..len)?;
            match [head[0], head[1]] {
                HARD_DRIVE => drive = Some(body),
                // A path may come in pieces.
                FILE_PATH => file += &from_utf16(body)?.0,
                [0x7f, _] => break,
                _ => {}
            }
            path = &path[len..];
        }
        let file = file.replace('\\', "/").trim_start_matches('/').to_string();
        let drive = drive.filter(|drive| drive.len() == 38 && !file.is_empty())?;
        let number = |at: usize, len: usize| {
            drive[at..at + len].iter().rev().fold(0_u64, |number, byte| number << 8 | u64::from(*byte))
        };
        let signature = match drive[37] {
            2 => Signature::Gpt(Uuid::from_bytes_le(drive[20..36].try_into().ok()?)),
            1 => Signature::Mbr(u32::from_le_bytes(drive[20..24].try_into().ok()?)),
            _ => return None,
        };
        let partition = u32::try_from(number(0, 4)).ok()?;
        Some(LoadOption { description, partition, start: number(4, 8), sectors: number(12, 8), signature, file })
    }

    /// Whether both start the same program. Firmware finds the partition by its signature; FAT knows no capitals.
    pub fn same_program(&self, other: &LoadOption) -> bool {
        let in_mbr = matches!(self.signature, Signature::Mbr(_));
        self.signature == other.signature
            && (!in_mbr || self.partition == other.partition)
            && self.file.eq_ignore_ascii_case(&other.file)
    }

    fn hard_drive(&self) -> Vec<u8> {
        let mut body = self.partition.to_le_bytes().to_vec();
        body.extend(self.start.to_le_bytes());
        body.extend(self.sectors.to_le_bytes());
        let (signature, kind) = match self.signature {
            Signature::Gpt(guid) => (guid.to_bytes_le(), 2),
            Signature::Mbr(signature) => (u128::from(signature).to_le_bytes(), 1),
        };
        body.extend(signature);
        // The table's kind, and the signature's: the same numbers for both.
        body.extend([kind, kind]);
        body
    }
}

fn node(kind: [u8; 2], body: &[u8]) -> Vec<u8> {
    let len = u16::try_from(body.len() + 4).unwrap_or(u16::MAX);
    [&kind, &len.to_le_bytes()[..], body].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(hex: &str) -> Vec<u8> {
        let digits: String = hex.split_whitespace().collect();
        (0..digits.len()).step_by(2).map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap()).collect()
    }

    /// As `efibootmgr --create --disk IMAGE --part 2 --label "Debian GNU/Linux" --loader '\EFI\debian\shimx64.efi'` writes it
    /// for a disk with a GPT.
    const DEBIAN: &str = "
        01000000 6200
        44006500 62006900 61006e00 20004700 4e005500 2f004c00 69006e00 75007800 0000
        04012a00 02000000 0010000000000000 0000100000000000 78563412 bc9af0de 1122334455667788 0202
        04043400 5c004500 46004900 5c006400 65006200 69006100 6e005c00 73006800 69006d00 78003600 34002e00 65006600 69000000
        7fff0400";

    fn debian() -> LoadOption {
        LoadOption {
            description: "Debian GNU/Linux".into(),
            partition: 2,
            start: 4096,
            sectors: 1_048_576,
            signature: Signature::Gpt(Uuid::from_u128(0x1234_5678_9abc_def0_1122_3344_5566_7788)),
            file: "EFI/debian/shimx64.efi".into(),
        }
    }

    #[test]
    fn an_entry_has_the_bytes_that_others_give_it() {
        assert_eq!(debian().to_bytes(), bytes(DEBIAN));
        assert_eq!(LoadOption::parse(&bytes(DEBIAN)), Some(debian()));
    }

    #[test]
    fn a_partition_of_an_mbr_is_known_by_the_disk() {
        let option = LoadOption { signature: Signature::Mbr(0x1a2b_3c4d), ..debian() };
        let there = option.to_bytes();
        assert!(there.windows(18).any(|w| w == bytes("4d3c2b1a 000000000000000000000000 0101")));
        assert_eq!(LoadOption::parse(&there), Some(option));
    }

    #[test]
    fn what_starts_no_program_from_a_partition_or_is_damaged_is_none() {
        // OVMF's own: a program in the firmware's volume.
        let setup = "09010000 2c00 5500 6900 4100 7000 7000 0000 04071400 c9bdb87cebf8344faaea3ee4af6516a1 04061400 21aa2c4614760345836e8ab6f4662331 7fff0400";
        assert_eq!(LoadOption::parse(&bytes(setup)), None);
        let whole = bytes(DEBIAN);
        for len in 0..whole.len() {
            let _ = LoadOption::parse(&whole[..len]);
        }
        assert_eq!(LoadOption::parse(&whole[..60]), None);
        for at in 0..whole.len() {
            let mut damaged = whole.clone();
            damaged[at] ^= 0xff;
            let _ = LoadOption::parse(&damaged);
        }
        // A node that says it has no length.
        let mut endless = whole.clone();
        endless[42..44].fill(0);
        assert_eq!(LoadOption::parse(&endless), None);
    }

    #[test]
    fn a_path_ends_at_its_end_and_has_a_disk_and_a_file() {
        let head = |path: &[u8]| {
            let len = u16::try_from(path.len()).unwrap();
            [&ACTIVE.to_le_bytes()[..], &len.to_le_bytes(), &utf16("x"), path].concat()
        };
        let (drive, file) = (node(HARD_DRIVE, &debian().hard_drive()), node(FILE_PATH, &utf16("\\a.efi")));
        let (end, other) = (node([0x7f, 0xff], &[]), node([1, 1], &[0; 3]));
        let whole = |parts: &[&[u8]]| LoadOption::parse(&head(&parts.concat()));
        let parsed = whole(&[&other, &drive, &file, &end]).unwrap();
        assert_eq!((&*parsed.file, parsed.partition, parsed.signature), ("a.efi", 2, debian().signature));
        // What follows the end is another path.
        assert_eq!(whole(&[&drive, &file, &end, &file]).unwrap().file, "a.efi");
        assert_eq!(whole(&[&drive, &end, &file]), None);
        assert_eq!(whole(&[&drive]), None);
        assert_eq!(whole(&[&file, &end]), None);
        assert_eq!(whole(&[&node(HARD_DRIVE, &debian().hard_drive()[..37]), &file]), None);
        assert_eq!(whole(&[&node(HARD_DRIVE, &[&debian().hard_drive()[..], &[0]].concat()), &file]), None);
    }

    #[test]
    fn a_program_is_known_by_disk_and_file_and_in_an_mbr_by_its_partition() {
        let mbr = |partition| LoadOption { signature: Signature::Mbr(7), partition, ..debian() };
        assert!(mbr(1).same_program(&mbr(1)));
        assert!(!mbr(1).same_program(&mbr(2)));
        assert!(!mbr(1).same_program(&LoadOption { partition: 1, ..debian() }));
        // A partition of a GPT has an identifier of its own, whatever its number.
        assert!(debian().same_program(&LoadOption { partition: 9, ..debian() }));
        assert!(!debian().same_program(&LoadOption { signature: Signature::Gpt(Uuid::nil()), ..debian() }));
    }

    #[test]
    fn what_comes_behind_the_path_is_the_program_s() {
        let mut more = bytes(DEBIAN);
        more.extend(utf16("options"));
        assert_eq!(LoadOption::parse(&more), Some(debian()));
        assert!(debian().same_program(&LoadOption { file: "efi/DEBIAN/shimx64.efi".into(), start: 1, ..debian() }));
        assert!(!debian().same_program(&LoadOption { file: "EFI/other".into(), ..debian() }));
    }
}
