//! A record of NTFS's master file table, its attributes, and where their contents lie.

/// Sectors end with a mark by which one that was not written is found; it is of 512 bytes, whatever the disk's sectors are.
const STRIDE: usize = 512;
/// Marks the end of the attributes.
const END: u32 = 0xffff_ffff;

/// A record that is in use.
#[derive(Debug)]
pub struct Record(Vec<u8>);

/// An attribute: the bytes of its pieces, header and all, in their order. What has many runs has several.
#[derive(Debug, Clone)]
pub struct Attribute(pub Vec<Vec<u8>>);

/// A piece: so many clusters, and the first of them; without it they are all zeros.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Run {
    pub clusters: u64,
    pub at: Option<u64>,
}

/// Puts back what the marks at the ends of sectors have replaced; `None` where a sector is not of the same writing.
pub fn mended(mut bytes: Vec<u8>, magic: &[u8; 4]) -> Option<Vec<u8>> {
    if !bytes.starts_with(magic) {
        return None;
    }
    let (at, count) = (usize::from(u16_at(&bytes, 4)), usize::from(u16_at(&bytes, 6)));
    let list = bytes.get(at..at.checked_add(count.checked_mul(2)?)?)?.to_vec();
    let (mark, replaced) = list.split_at_checked(2)?;
    if replaced.len() / 2 != bytes.len() / STRIDE {
        return None;
    }
    for (sector, was) in bytes.chunks_exact_mut(STRIDE).zip(replaced.chunks_exact(2)) {
        let end = &mut sector[STRIDE - 2..];
        if end != mark {
            return None;
        }
        end.copy_from_slice(was);
    }
    Some(bytes)
}

impl Record {
    /// From its bytes, as they are on the disk.
    pub fn new(bytes: Vec<u8>) -> Option<Record> {
        let bytes = mended(bytes, b"FILE")?;
        (u16_at(&bytes, 22) & 1 == 1).then_some(Record(bytes))
    }

    /// The piece of an attribute that is in this record: of this type and name, and from this cluster of its contents on.
    pub fn piece(&self, kind: u32, name: &str, vcn: u64) -> Option<Vec<u8>> {
        let mut at = usize::from(u16_at(&self.0, 20));
        loop {
            let rest = self.0.get(at..).filter(|rest| rest.len() >= 24)?;
            let (of, len) = (u32_at(rest, 0), usize::try_from(u32_at(rest, 4)).ok()?);
            if of == END || len < 24 {
                return None;
            }
            let one = rest.get(..len)?;
            let same = text(one, usize::from(u16_at(one, 10)), usize::from(one[9]))?.eq(name.encode_utf16());
            if of == kind && same && (is_resident(one) || u64_at(one, 16) == vcn) {
                return Some(one.to_vec());
            }
            at = at.checked_add(len)?;
        }
    }
}

fn is_resident(piece: &[u8]) -> bool {
    piece[8] == 0
}

/// UTF-16 at a place.
pub fn text(bytes: &[u8], at: usize, units: usize) -> Option<impl Iterator<Item = u16>> {
    let text = bytes.get(at..at.checked_add(2 * units)?)?;
    Some(text.chunks_exact(2).map(|unit| u16_at(unit, 0)))
}

impl Attribute {
    fn first(&self) -> Option<&[u8]> {
        self.0.first().map(Vec::as_slice)
    }

    /// Its contents, where they are in the record itself.
    pub fn resident(&self) -> Option<&[u8]> {
        let piece = self.first().filter(|piece| is_resident(piece))?;
        let (len, begin) = (usize::try_from(u32_at(piece, 16)).ok()?, usize::from(u16_at(piece, 20)));
        piece.get(begin..begin.checked_add(len)?)
    }

    /// So many bytes of it were ever written, where they are not in the record itself. Of what is compressed or encrypted that is not known.
    pub fn written(&self) -> Option<u64> {
        let piece = self.first().filter(|piece| !is_resident(piece) && piece.len() >= 64)?;
        (u16_at(piece, 12) & 0x40ff == 0).then(|| u64_at(piece, 56))
    }

    /// Where its contents lie, from the first cluster on.
    pub fn runs(&self) -> Option<Vec<Run>> {
        let (mut all, mut clusters) = (Vec::new(), 0_u64);
        for piece in &self.0 {
            if is_resident(piece) || piece.len() < 64 || u64_at(piece, 16) != clusters {
                return None;
            }
            for run in runs(piece.get(usize::from(u16_at(piece, 32))..)?)? {
                clusters = clusters.checked_add(run.clusters)?;
                all.push(run);
            }
        }
        Some(all)
    }
}

/// The runs of a piece.
fn runs(mut rest: &[u8]) -> Option<Vec<Run>> {
    let (mut all, mut last) = (Vec::new(), 0_i64);
    while let Some((head, after)) = rest.split_first().filter(|(head, _)| **head != 0) {
        let (of_len, of_at) = (usize::from(head & 15), usize::from(head >> 4));
        let (len, after) = after.split_at_checked(of_len)?;
        let (at, after) = after.split_at_checked(of_at)?;
        let clusters = u64::try_from(signed(len)?).ok()?;
        // Each is told by how far it is from the one before; what has no place was never written.
        let at = if of_at == 0 {
            None
        } else {
            last = last.checked_add(signed(at)?)?;
            Some(u64::try_from(last).ok()?)
        };
        all.push(Run { clusters, at });
        rest = after;
    }
    Some(all)
}

/// A number of up to eight bytes, the last of which has its sign.
fn signed(bytes: &[u8]) -> Option<i64> {
    let last = *bytes.last()?;
    let mut all = [if last & 0x80 == 0 { 0 } else { 0xff }; 8];
    all.get_mut(..bytes.len())?.copy_from_slice(bytes);
    Some(i64::from_le_bytes(all))
}

/// Whoever asks has seen that so many bytes are there; of what is not, nothing is read.
fn at<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    bytes.get(at..).and_then(|rest| rest.first_chunk()).copied().unwrap_or([0; N])
}

pub fn u16_at(bytes: &[u8], offset: usize) -> u16 {
    u16::from_le_bytes(at(bytes, offset))
}

pub fn u32_at(bytes: &[u8], offset: usize) -> u32 {
    u32::from_le_bytes(at(bytes, offset))
}

pub fn u64_at(bytes: &[u8], offset: usize) -> u64 {
    u64::from_le_bytes(at(bytes, offset))
}
