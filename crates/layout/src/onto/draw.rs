//! The disk as it is and as it will be, drawn.

use std::collections::BTreeSet;
use std::fmt;

use cairn_machine::model::PartitionKind;

use super::{DiskThere, Fate, Onto, Origin, TableThere, free};
use crate::format_rules::FormatRules;
use crate::units::{Lba, human};

/// Pieces smaller than this are nobody's business: what alignment leaves.
const WORTH_A_LINE: u64 = 2 << 20;

impl fmt::Display for Onto {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sector = self.there.sector;
        writeln!(f, "now: {}", heading(&self.there))?;
        let mut rows: Vec<(Lba, [String; 4], String)> = Vec::new();
        for one in &self.there.partitions {
            let fate = match self.fate(one.number) {
                Fate::Untouched => "stays".to_string(),
                Fate::Kept(index) => format!("stays, as {}", self.name(index)),
                Fate::Replaced(index) => format!("LOST, becomes {}", self.name(index)),
                Fate::Removed => "LOST".into(),
            };
            let size = human(one.sectors.bytes(sector));
            let cells = [one.number.to_string(), human(one.first.offset(sector)), size, one.what.clone()];
            rows.push((one.first, cells, fate));
        }
        for gap in free(&self.there, &BTreeSet::new()) {
            let bytes = (gap.last.0 + 1 - gap.first.0).saturating_mul(sector.bytes());
            if bytes >= WORTH_A_LINE {
                let cells = ["-".into(), human(gap.first.offset(sector)), human(bytes), "free".into()];
                rows.push((gap.first, cells, String::new()));
            }
        }
        table(f, rows)?;
        writeln!(f, "then: {}", if self.new_table { "a new partition table" } else { "the same partition table" })?;
        let mut rows: Vec<(Lba, [String; 4], String)> = Vec::new();
        for (one, origin) in self.plan.partitions.iter().zip(&self.origins) {
            let format = one.fs().map_or("", |fs| FormatRules::of(fs.format).name);
            let mut what = one.kind.name().to_string();
            for (text, joint) in [(format, ", "), (one.mount_point.as_deref().unwrap_or(""), " at ")] {
                if !text.is_empty() {
                    what = format!("{what}{joint}{text}");
                }
            }
            let fate = match origin {
                Origin::New => "new".to_string(),
                Origin::Replaces(_) => "new, in the place of what was there".into(),
                Origin::Keeps(_) if one.kind == PartitionKind::Root => {
                    "stays, and the system in it is made anew".into()
                }
                Origin::Keeps(number) => format!("as it is: {}", self.there_what(*number)),
            };
            let size = human(self.plan.bytes_of(one));
            rows.push((one.first_lba, [one.number.to_string(), human(self.plan.offset_of(one)), size, what], fate));
        }
        for one in &self.there.partitions {
            if self.fate(one.number) == Fate::Untouched {
                let size = human(one.sectors.bytes(sector));
                let cells = [one.number.to_string(), human(one.first.offset(sector)), size, one.what.clone()];
                rows.push((one.first, cells, "untouched".into()));
            }
        }
        table(f, rows)
    }
}

impl Onto {
    fn name(&self, index: usize) -> &'static str {
        self.plan.partitions.get(index).map_or("", |one| one.kind.name())
    }

    fn there_what(&self, number: u32) -> &str {
        self.there.partitions.iter().find(|one| one.number == number).map_or("", |one| &one.what)
    }
}

fn heading(there: &DiskThere) -> String {
    let table = match &there.table {
        TableThere::None => "no partition table".to_string(),
        TableThere::Gpt { .. } => "GPT".into(),
        TableThere::Other(kind) => kind.clone(),
        TableThere::Broken(why) => format!("a GPT that is not sound: {why}"),
    };
    let whole = there.whole.as_ref().map(|whole| format!(", {whole}")).unwrap_or_default();
    format!("{}, sectors of {} bytes, {table}{whole}", human(there.bytes), there.sector.bytes())
}

/// Rows by where they begin. Numbers stand right, words left; no blanks at the end.
fn table(f: &mut fmt::Formatter<'_>, mut rows: Vec<(Lba, [String; 4], String)>) -> fmt::Result {
    rows.sort_by_key(|(first, ..)| *first);
    let width = |cell: usize| rows.iter().map(|(_, cells, _)| cells[cell].chars().count()).max().unwrap_or(0);
    let widths = [0, 1, 2, 3].map(width);
    for (_, [number, start, size, what], fate) in &rows {
        let [a, b, c, d] = widths;
        let line = format!("  {number:>a$}  {start:>b$}  {size:>c$}  {what:d$}  {fate}");
        writeln!(f, "{}", line.trim_end())?;
    }
    Ok(())
}
