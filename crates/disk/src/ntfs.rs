//! What an NTFS volume says of the state that Windows has left it in, without mounting it.
//!
//! Somebody's tool would be better; but ntfs-3g.probe finds out only by opening the volume for writing, and mounting is the kernel's
//! business with a stranger's bytes. So this reads a handful of blocks, whatever they say: two records, the way through one index to
//! one name, the first bytes of one file. What is not as usual is not known, and then nothing is said.

mod index;
mod record;

use crate::Source;
use record::{Attribute, Record, Run, text, u16_at, u32_at, u64_at};

/// `$MFT` itself, `$Volume` and the root folder have these numbers on every volume.
const MFT: u64 = 0;
const VOLUME: u64 = 3;
const ROOT: u64 = 5;
/// Types of attributes: `$ATTRIBUTE_LIST`, `$VOLUME_INFORMATION`, `$DATA`.
const ATTRIBUTE_LIST: u32 = 0x20;
const VOLUME_INFORMATION: u32 = 0x70;
const DATA: u32 = 0x80;
/// So much of the attributes of one thing is looked at: Windows itself makes no longer lists.
const LONGEST_LIST: u64 = 256 << 10;
const MOST_PIECES: usize = 256;
/// In the flags of a volume: it was not taken out of use as it should.
const DIRTY: u16 = 1;
/// What Windows keeps its memory in, and a folder that every Windows has.
const HIBERFIL: &str = "HIBERFIL.SYS";
const WINDOWS: &str = "WINDOWS";
/// What that file begins with while there is memory in it: both are written by Windows, and ntfs-3g looks for both.
const SLEEPS: [&[u8; 4]; 2] = [b"hibr", b"HIBR"];

/// The state of a volume, as far as it is known.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct State {
    /// Windows is on it.
    pub windows: bool,
    /// Windows was not shut down: its memory is in a file here (hibernation, or fast start-up).
    pub sleeps: bool,
    /// It was not taken out of use as it should, and Windows will check it.
    pub dirty: bool,
}

/// The state of the volume; `None` where it is no NTFS that can be made out.
pub fn state(source: &dyn Source) -> Option<State> {
    let volume = Volume::open(source)?;
    let information = volume.attribute(VOLUME, VOLUME_INFORMATION, "")?;
    let flags = information.resident().filter(|value| value.len() >= 12).map(|value| u16_at(value, 10))?;
    let sleeps = || {
        let begin = volume.begin_of(volume.find(HIBERFIL)?)?;
        Some(SLEEPS.contains(&&begin))
    };
    Some(State {
        windows: volume.find(WINDOWS).is_some(),
        sleeps: sleeps().unwrap_or(false),
        dirty: flags & DIRTY != 0,
    })
}

/// A volume, by what its boot sector says.
#[derive(Debug)]
struct Volume<'s> {
    source: &'s dyn Source,
    cluster: u64,
    record: u64,
    /// Where its records lie.
    mft: Vec<Run>,
}

impl<'s> Volume<'s> {
    fn open(source: &'s dyn Source) -> Option<Volume<'s>> {
        let mut boot = [0; 512];
        source.read_at(0, &mut boot).ok()?;
        if &boot[3..11] != b"NTFS    " {
            return None;
        }
        let sector = u64::from(u16_at(&boot, 11));
        // Larger ones are told as a power of two.
        let per_cluster = match boot[13] {
            exponent @ 0xf4.. => 1_u64 << (256 - u32::from(exponent)),
            count => u64::from(count),
        };
        let cluster = sector.checked_mul(per_cluster)?;
        let record = match i8::from_le_bytes([boot[64]]) {
            exponent @ -16..=-1 => 1_u64 << exponent.unsigned_abs(),
            count => cluster.checked_mul(u64::try_from(count).ok()?)?,
        };
        let sound = sector.is_power_of_two()
            && (512..=4096).contains(&sector)
            && cluster.is_power_of_two()
            && cluster <= 2 << 20
            && record.is_power_of_two()
            && (512..=4096).contains(&record);
        if !sound {
            return None;
        }
        let first = Run { clusters: u64::MAX, at: Some(u64_at(&boot, 48)) };
        let mut volume = Volume { source, cluster, record, mft: vec![first] };
        // Its first record, which lies where the boot sector says, tells where all others are.
        volume.mft = volume.attribute(MFT, DATA, "")?.runs()?;
        Some(volume)
    }

    fn record(&self, number: u64) -> Option<Record> {
        let mut bytes = vec![0; usize::try_from(self.record).ok()?];
        self.read(&self.mft, number.checked_mul(self.record)?, &mut bytes)?;
        Record::new(bytes)
    }

    /// An attribute of what has this number, in whatever records it is.
    fn attribute(&self, number: u64, kind: u32, name: &str) -> Option<Attribute> {
        let base = self.record(number)?;
        let Some(list) = base.piece(ATTRIBUTE_LIST, "", 0).map(|piece| Attribute(vec![piece])) else {
            return Some(Attribute(vec![base.piece(kind, name, 0)?]));
        };
        let list = self.list(&list)?;
        let (mut rest, mut pieces) = (&list[..], Vec::new());
        while rest.len() >= 26 {
            let one = rest.get(..usize::from(u16_at(rest, 4))).filter(|one| one.len() >= 26)?;
            rest = &rest[one.len()..];
            let same = text(one, usize::from(one[7]), usize::from(one[6]))?.eq(name.encode_utf16());
            if u32_at(one, 0) != kind || !same {
                continue;
            }
            if pieces.len() >= MOST_PIECES {
                return None;
            }
            pieces.push(self.record(number_in(u64_at(one, 16)))?.piece(kind, name, u64_at(one, 8))?);
        }
        (!pieces.is_empty()).then_some(Attribute(pieces))
    }

    /// The list of a thing's attributes, which is in its record or elsewhere.
    fn list(&self, list: &Attribute) -> Option<Vec<u8>> {
        if let Some(bytes) = list.resident() {
            return Some(bytes.to_vec());
        }
        let len = list.written().filter(|len| *len <= LONGEST_LIST)?;
        let mut bytes = vec![0; usize::try_from(len).ok()?];
        self.read(&list.runs()?, 0, &mut bytes)?;
        Some(bytes)
    }

    /// Reads from something that lies in pieces. What was never written is not read.
    fn read(&self, runs: &[Run], mut offset: u64, mut bytes: &mut [u8]) -> Option<()> {
        let mut begin = 0_u64;
        for run in runs {
            let end = begin.saturating_add(run.clusters.saturating_mul(self.cluster));
            if offset < end && !bytes.is_empty() {
                let here = usize::try_from(end - offset).unwrap_or(usize::MAX).min(bytes.len());
                let at = run.at?.checked_mul(self.cluster)?.checked_add(offset - begin)?;
                let (part, rest) = bytes.split_at_mut(here);
                self.source.read_at(at, part).ok()?;
                (offset, bytes) = (end, rest);
            }
            begin = end;
        }
        bytes.is_empty().then_some(())
    }

    /// The number of what has this name, in capitals, in the root folder.
    fn find(&self, name: &str) -> Option<u64> {
        index::find(self, ROOT, name)
    }

    /// The first bytes of a file that is long enough to have a cluster.
    fn begin_of(&self, number: u64) -> Option<[u8; 4]> {
        let data = self.attribute(number, DATA, "")?;
        let mut begin = [0; 4];
        // What was never written reads as nothing, whatever lies there.
        if data.written()? >= begin.len() as u64 {
            self.read(&data.runs()?, 0, &mut begin)?;
        }
        Some(begin)
    }
}

/// The number of a record in what refers to it: the upper bits count how often it was used.
fn number_in(reference: u64) -> u64 {
    reference & 0xffff_ffff_ffff
}
