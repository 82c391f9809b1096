//! FAT16 and FAT32 as firmware and GRUB read them: the first FAT, chains cluster by cluster, long names by checksum, and
//! a folder ends at its first empty slot. A flaw is told, never repaired.

use std::fmt;

use crate::replay::image::Image;
use crate::replay::log::SECTOR;

/// A volume.
#[derive(Debug, Clone)]
pub struct Fat<'a> {
    image: &'a Image,
    wide: bool,
    /// Bytes in a cluster.
    pub cluster: u64,
    /// Where the FATs begin, in bytes, and how long each one is.
    tables: (u64, u64),
    /// How many FATs there are.
    copies: u64,
    /// Where cluster 2 begins, in bytes.
    data: u64,
    /// How many clusters there are; the last one's number is one more.
    pub clusters: u32,
    root: Root,
}

#[derive(Debug, Clone, Copy)]
enum Root {
    /// Bytes from here to there.
    Fixed(u64, u64),
    Cluster(u32),
}

/// An entry of a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// The long name, or the short one where there is no long one that belongs to it.
    pub name: String,
    /// Whether it is a folder.
    pub folder: bool,
    /// The first cluster; 0 for an empty file.
    pub first: u32,
    /// Bytes.
    pub size: u32,
}

/// What is wrong with a file or a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Flaw {
    /// Its chain leads to a cluster that the FAT calls free: the next write may take it.
    Free(u32),
    /// Its chain leads out of the volume, or to a bad or reserved cluster.
    Outside(u32),
    /// Its chain comes back to itself.
    Loop,
    /// Its chain ends too early for its size.
    Short,
    /// Its chain goes on after its end.
    Long,
    /// Its size is not 0 and it has no cluster.
    NoCluster,
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Flaw::Free(cluster) => write!(f, "its chain leads to the free cluster {cluster}"),
            Flaw::Outside(cluster) => write!(f, "its chain leads outside, to {cluster:#x}"),
            Flaw::Loop => f.write_str("its chain is a loop"),
            Flaw::Short => f.write_str("its chain is shorter than its size"),
            Flaw::Long => f.write_str("its chain is longer than its size"),
            Flaw::NoCluster => f.write_str("it has a size and no cluster"),
        }
    }
}

impl<'a> Fat<'a> {
    /// Reads the boot sector.
    pub fn open(image: &'a Image) -> Result<Fat<'a>, String> {
        let boot = image.sector(0);
        let short = |at: usize| u64::from(u16::from_le_bytes([boot[at], boot[at + 1]]));
        let long = |at: usize| u64::from(u32::from_le_bytes([boot[at], boot[at + 1], boot[at + 2], boot[at + 3]]));
        let either = |a: u64, b: u64| if a == 0 { b } else { a };
        let sector = short(11);
        if boot[510..] != [0x55, 0xaa] || ![512, 1024, 2048, 4096].contains(&sector) || boot[13] == 0 {
            return Err("the boot sector is none of FAT".into());
        }
        let (reserved, copies, slots) = (short(14), u64::from(boot[16]), short(17));
        let total = either(short(19), long(32));
        let table = either(short(22), long(36));
        let root_sectors = (slots * 32).div_ceil(sector);
        let before = reserved + copies * table + root_sectors;
        let clusters = total.saturating_sub(before) / u64::from(boot[13]);
        if clusters < 4085 || copies == 0 || total * sector > image.sectors() * SECTOR as u64 {
            return Err(format!("{clusters} clusters and {total} sectors are none of FAT16 or FAT32 here"));
        }
        let wide = clusters >= 65_525;
        let fixed = (reserved + copies * table) * sector;
        let root = if wide { Root::Cluster(long(44) as u32) } else { Root::Fixed(fixed, fixed + slots * 32) };
        Ok(Fat {
            image,
            wide,
            cluster: u64::from(boot[13]) * sector,
            tables: (reserved * sector, table * sector),
            copies,
            data: before * sector,
            clusters: clusters as u32,
            root,
        })
    }

    /// What the first FAT says of a cluster; FAT16's special numbers are made FAT32's.
    pub fn next(&self, cluster: u32) -> u32 {
        self.next_in(0, cluster)
    }

    /// What one of the FATs says.
    pub fn next_in(&self, copy: u64, cluster: u32) -> u32 {
        let width = if self.wide { 4 } else { 2 };
        let at = self.tables.0 + copy * self.tables.1 + u64::from(cluster) * width;
        let bytes = &self.image.sector(at / SECTOR as u64)[at as usize % SECTOR..];
        if self.wide {
            u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]) & 0x0fff_ffff
        } else {
            let number = u32::from(u16::from_le_bytes([bytes[0], bytes[1]]));
            if number >= 0xfff0 { number | 0x0fff_0000 } else { number }
        }
    }

    /// Whether all FATs say the same.
    pub fn copies_agree(&self) -> bool {
        let sectors = self.tables.1 / SECTOR as u64;
        let start = self.tables.0 / SECTOR as u64;
        (1..self.copies)
            .all(|copy| (start..start + sectors).all(|s| self.image.sector(s) == self.image.sector(s + copy * sectors)))
    }

    /// The clusters from this one on, and what is wrong with their chain.
    pub fn chain(&self, first: u32) -> (Vec<u32>, Option<Flaw>) {
        let mut chain = Vec::new();
        let mut cluster = first;
        loop {
            if cluster < 2 || cluster > self.clusters + 1 {
                return (chain, Some(Flaw::Outside(cluster)));
            }
            if chain.len() > self.clusters as usize {
                return (chain, Some(Flaw::Loop));
            }
            let next = self.next(cluster);
            if next == 0 {
                return (chain, Some(Flaw::Free(cluster)));
            }
            chain.push(cluster);
            if next >= 0x0fff_fff8 {
                return (chain, None);
            }
            cluster = next;
        }
    }

    /// The clusters of a file, all of which must be right.
    pub fn file_chain(&self, node: &Node) -> Result<Vec<u32>, Flaw> {
        match (node.size, node.first) {
            // Room that is reserved and not used yet is no flaw: what reads the file reads nothing.
            (0, _) => return Ok(Vec::new()),
            (_, 0) => return Err(Flaw::NoCluster),
            _ => {}
        }
        let (chain, flaw) = self.chain(node.first);
        let needed = u64::from(node.size).div_ceil(self.cluster) as usize;
        match flaw {
            Some(flaw) => Err(flaw),
            None if chain.len() < needed => Err(Flaw::Short),
            None if chain.len() > needed => Err(Flaw::Long),
            None => Ok(chain),
        }
    }

    fn sectors(&self, cluster: u32) -> std::ops::Range<u64> {
        let start = (self.data + u64::from(cluster - 2) * self.cluster) / SECTOR as u64;
        start..start + self.cluster / SECTOR as u64
    }

    /// The contents of a file, if it is whole.
    pub fn contents(&self, node: &Node) -> Result<Vec<u8>, Flaw> {
        let mut bytes = Vec::new();
        for cluster in self.file_chain(node)? {
            self.sectors(cluster).for_each(|s| bytes.extend_from_slice(self.image.sector(s)));
        }
        bytes.truncate(node.size as usize);
        Ok(bytes)
    }

    /// A number that stands for the contents of a file that is whole, at all moments of a log.
    pub fn contents_print(&self, node: &Node) -> Result<u64, Flaw> {
        let mut print = u64::from(node.size);
        for cluster in self.file_chain(node)? {
            for sector in self.sectors(cluster) {
                print = (print.rotate_left(5) ^ self.image.sector_print(sector)).wrapping_mul(0x2545_f491_4f6c_dd1d);
            }
        }
        Ok(print)
    }

    /// The entries of the root folder.
    pub fn root(&self) -> Vec<Node> {
        match self.root {
            Root::Cluster(first) => self.folder(first),
            Root::Fixed(from, to) => {
                let sectors = from / SECTOR as u64..to / SECTOR as u64;
                slots(&sectors.flat_map(|s| self.image.sector(s)).copied().collect::<Vec<_>>())
            }
        }
    }

    /// The first cluster of the root folder, where it has clusters.
    pub fn root_cluster(&self) -> Option<u32> {
        match self.root {
            Root::Cluster(first) => Some(first),
            Root::Fixed(..) => None,
        }
    }

    /// The entries of a folder, as far as it can be read.
    pub fn folder(&self, first: u32) -> Vec<Node> {
        let mut bytes = Vec::new();
        for cluster in self.chain(first).0 {
            self.sectors(cluster).for_each(|s| bytes.extend_from_slice(self.image.sector(s)));
        }
        slots(&bytes)
    }

    /// What stands under a path; upper and lower case are the same.
    pub fn find(&self, path: &str) -> Option<Node> {
        let mut found: Option<Node> = None;
        for name in path.split(['/', '\\']).filter(|name| !name.is_empty()) {
            let nodes = match &found {
                None => self.root(),
                Some(node) if node.folder => self.folder(node.first),
                Some(_) => return None,
            };
            found = Some(nodes.into_iter().find(|node| node.name.to_lowercase() == name.to_lowercase())?);
        }
        found
    }

    /// The entries of the folder at a path; none if it is not there.
    pub fn list(&self, path: &str) -> Vec<Node> {
        match path.trim_matches('/') {
            "" => self.root(),
            path => self.find(path).filter(|n| n.folder).map(|n| self.folder(n.first)).unwrap_or_default(),
        }
    }
}

/// Reads a folder's slots.
fn slots(bytes: &[u8]) -> Vec<Node> {
    let mut nodes = Vec::new();
    let mut long = Long::default();
    for slot in bytes.chunks_exact(32) {
        let attributes = slot[11];
        match slot[0] {
            0 => break,
            0xe5 => long = Long::default(),
            _ if attributes & 0x3f == 0x0f => long.take(slot),
            _ if attributes & 0x08 != 0 => long = Long::default(),
            _ => {
                let name = std::mem::take(&mut long).name(slot).unwrap_or_else(|| short(slot));
                let half = |at: usize| u32::from(u16::from_le_bytes([slot[at], slot[at + 1]]));
                if name != "." && name != ".." {
                    nodes.push(Node {
                        name,
                        folder: attributes & 0x10 != 0,
                        first: half(20) << 16 | half(26),
                        size: u32::from_le_bytes([slot[28], slot[29], slot[30], slot[31]]),
                    });
                }
            }
        }
    }
    nodes
}

/// A long name that is being put together: its slots come last part first.
#[derive(Default)]
struct Long {
    parts: Vec<[u16; 13]>,
    wanted: u8,
    checksum: u8,
}

impl Long {
    fn take(&mut self, slot: &[u8]) {
        let order = slot[0] & 0x3f;
        if slot[0] & 0x40 != 0 {
            *self = Long { parts: Vec::new(), wanted: order, checksum: slot[13] };
        }
        if order == 0 || order != self.wanted || slot[13] != self.checksum {
            *self = Long::default();
            return;
        }
        self.wanted -= 1;
        let mut part = [0; 13];
        let places = (1..11).step_by(2).chain((14..26).step_by(2)).chain([28, 30]);
        for (unit, at) in part.iter_mut().zip(places) {
            *unit = u16::from_le_bytes([slot[at], slot[at + 1]]);
        }
        self.parts.push(part);
    }

    fn name(self, slot: &[u8]) -> Option<String> {
        let sum = slot[..11].iter().fold(0u8, |sum, byte| sum.rotate_right(1).wrapping_add(*byte));
        if self.parts.is_empty() || self.wanted != 0 || sum != self.checksum {
            return None;
        }
        let units: Vec<u16> = self.parts.iter().rev().flatten().copied().take_while(|unit| *unit != 0).collect();
        Some(String::from_utf16_lossy(&units))
    }
}

fn short(slot: &[u8]) -> String {
    let text = |bytes: &[u8], lower: bool| {
        let text = String::from_utf8_lossy(bytes).trim_end().to_string();
        if lower { text.to_lowercase() } else { text }
    };
    // Windows's bits for short names in lower case, which Linux and GRUB know as well.
    let (name, kind) = (text(&slot[..8], slot[12] & 8 != 0), text(&slot[8..11], slot[12] & 16 != 0));
    if kind.is_empty() { name } else { format!("{name}.{kind}") }
}
