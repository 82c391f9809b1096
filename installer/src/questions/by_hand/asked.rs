//! What is asked about a disk by hand: which partition is next, and what becomes of it.

use cairn_layout::human;
use cairn_layout::onto::PartitionThere;
use cairn_machine::model::{Partition, PartitionKind};
use cairn_process::text::one_line;

use super::roles::{Role, words};
use super::{Becomes, ByHand, DONE, Piece, REST};
use crate::questions::{Asks, Choice, Question, Topic};

/// Values of pieces: these before a number, and the free space.
pub const PART: &str = "partition-";
pub const NEW: &str = "new-";
pub const FREE: &str = "free";
/// Less is what alignment leaves.
const WORTH_A_LINE: u64 = 2 << 20;
/// What is usual of a size, where it is not the rest.
const USUAL_BOOT: &str = "512M";
const USUAL_SWAP: &str = "2G";

impl ByHand<'_> {
    /// The question about this.
    pub fn question(&self, topic: Topic) -> Question {
        let what = self.open.as_ref().map(|open| self.piece_words(open.piece)).unwrap_or_default();
        let (title, help, asks) = match topic {
            Topic::Becomes => (
                format!("What becomes of {what}"),
                "What is made anew loses what is in it; what is kept is used as it is. Nothing happens to it before the last page.",
                self.roles(),
            ),
            Topic::MountPoint => (
                format!("Where {what} is found in the machine"),
                "A folder, such as /srv/data. /usr, /etc, /nix, /var and others of the system's cannot be partitions of their own.",
                Asks::Text { default: "/srv".into(), optional: false },
            ),
            Topic::Size => (
                format!("How large is it ({})", self.said_of_it().map_or_else(String::new, called)),
                "A number and a unit, such as 20G; `rest` is all that no other takes, in equal parts where several do.",
                Asks::Text { default: self.usual_size().into(), optional: false },
            ),
            _ => (
                "The disk by hand: which one do you want to say something of".into(),
                "One after the other: each can be changed as often as you like, and < takes the last word back. Partitions of which nothing \
                 is said stay as they are. New ones are made in the largest free piece. `Done` shows all of it once more before anything happens.",
                self.pieces(),
            ),
        };
        let notes = if topic == Topic::Part { self.missing_words().into_iter().collect() } else { Vec::new() };
        Question { topic, title, help, asks, notes }
    }

    fn pieces(&self) -> Asks {
        let mut there: Vec<&PartitionThere> = self.there.partitions.iter().collect();
        there.sort_by_key(|one| one.first);
        // Of a table that goes, all partitions go.
        there.retain(|_| self.changes_table());
        let mut rows: Vec<(String, [String; 3], String)> = Vec::new();
        for one in there {
            let fate = self.fate(Piece::There(one.number));
            let system = self.disk.systems.get(&one.number).map(|name| format!(": {name}")).unwrap_or_default();
            let size = human(one.sectors.bytes(self.there.sector));
            rows.push((
                format!("{PART}{}", one.number),
                [format!("partition {}", one.number), size, fate],
                format!("{}{system}", one_line(&one.what)),
            ));
        }
        for (piece, becomes) in &self.chosen {
            let (Piece::New(number), Some(partition)) = (piece, becomes.partition()) else { continue };
            let size = partition.size.map_or_else(|| "the rest".into(), |size| human(size.bytes()));
            rows.push((format!("{NEW}{number}"), ["new".into(), size, self.fate(*piece)], String::new()));
        }
        let free = self.free();
        if free >= WORTH_A_LINE {
            let what = match (self.changes_table(), self.disk.holds.is_empty()) {
                (true, _) | (_, true) => "a new partition can be made here",
                _ => "a new partition can be made here, and all that is on the disk is lost",
            };
            rows.push((FREE.into(), ["free".into(), human(free), "free".into()], what.into()));
        }
        let mut of = aligned(rows);
        of.push(Choice { value: DONE.into(), shown: "Done: the disk is to be like that".into() });
        let wanted = if self.missing().is_empty() { DONE } else { FREE };
        let default = of.iter().position(|one| one.value == wanted).unwrap_or(0);
        Asks::One { of, default, others: false }
    }

    fn roles(&self) -> Asks {
        let piece = self.open.as_ref().map_or(Piece::New(0), |open| open.piece);
        let roles = match self.partition(piece) {
            Some(one) => Role::of_partition(one, self.uefi),
            None => Role::of_free(self.uefi, self.chosen.contains_key(&piece)),
        };
        let now = match self.chosen.get(&piece) {
            Some(Becomes::Removed) => Role::Remove,
            Some(Becomes::Kept(partition)) => Role::Keep(partition.kind),
            Some(Becomes::Made(partition)) => Role::Make(partition.kind),
            None if matches!(piece, Piece::New(_)) => {
                // What is missing is what somebody wants of free space.
                self.missing().first().map_or(Role::Make(PartitionKind::Data), |kind| Role::Make(*kind))
            }
            None => Role::Leave,
        };
        let default = roles.iter().position(|role| *role == now).unwrap_or(0);
        let is_new = matches!(piece, Piece::New(_));
        let choice = |role: Role| Choice { value: role.value(), shown: role_words(role, is_new) };
        Asks::One { of: roles.into_iter().map(choice).collect(), default, others: false }
    }

    fn said_of_it(&self) -> Option<&Partition> {
        self.open.as_ref()?.becomes.as_ref()?.partition()
    }

    fn usual_size(&self) -> &'static str {
        match self.said_of_it().map(|partition| partition.kind) {
            Some(PartitionKind::Esp | PartitionKind::Xbootldr) => USUAL_BOOT,
            Some(PartitionKind::Swap) => USUAL_SWAP,
            _ => REST,
        }
    }

    fn piece_words(&self, piece: Piece) -> String {
        match self.partition(piece) {
            Some(one) => {
                let size = human(one.sectors.bytes(self.there.sector));
                format!("partition {} ({}, {size})", one.number, one_line(&one.what))
            }
            None => "the new partition".into(),
        }
    }

    fn fate(&self, piece: Piece) -> String {
        match (self.chosen.get(&piece), piece) {
            (None, _) => "stays".into(),
            (Some(Becomes::Removed), _) => "LOST".into(),
            (Some(Becomes::Kept(partition)), _) => format!("stays, as {}", called(partition)),
            (Some(Becomes::Made(partition)), Piece::There(_)) => format!("LOST, becomes {}", called(partition)),
            (Some(Becomes::Made(partition)), Piece::New(_)) => called(partition),
        }
    }
}

/// A partition of the machine by where it is mounted, or what it is.
fn called(partition: &Partition) -> String {
    match (&partition.mount_point, partition.kind) {
        (Some(at), _) => at.clone(),
        (None, PartitionKind::Root) => "/".into(),
        (None, PartitionKind::Home) => "/home".into(),
        (None, PartitionKind::Esp | PartitionKind::Xbootldr) => "/boot".into(),
        (None, kind) => kind.name().into(),
    }
}

fn role_words(role: Role, is_new: bool) -> String {
    match role {
        Role::Leave if is_new => "It is not made after all".into(),
        Role::Leave => "It stays as it is, and the machine does nothing with it".into(),
        Role::Remove => "It is removed: what is in it is lost, and its room is free".into(),
        Role::Keep(PartitionKind::Esp) => {
            format!("It stays as it is, as {}: shared with what starts from it", words(PartitionKind::Esp))
        }
        Role::Keep(kind) => format!("It stays as it is, as {}", words(kind)),
        Role::Make(kind) if is_new => capital(words(kind)),
        Role::Make(kind) => format!("{}, made anew: what is in it is lost", capital(words(kind))),
    }
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map(|first| first.to_ascii_uppercase()).into_iter().chain(letters).collect()
}

/// Rows, their words below each other.
fn aligned(rows: Vec<(String, [String; 3], String)>) -> Vec<Choice> {
    let width = |cell: usize| rows.iter().map(|(_, cells, _)| cells[cell].chars().count()).max().unwrap_or(0);
    let [a, b, c] = [0, 1, 2].map(width);
    let row = |(value, [piece, size, fate], what): (String, [String; 3], String)| {
        let shown = format!("{piece:<a$}  {size:>b$}  {fate:<c$}  {what}");
        Choice { value, shown: shown.trim_end().into() }
    };
    rows.into_iter().map(row).collect()
}
