//! A plan, drawn.

use std::fmt;

use cairn_machine::model::TableKind;

use crate::format_rules::FormatRules;
use crate::plan::{DiskPlan, PlannedPartition};
use crate::units::human;

const HEADINGS: [&str; 9] = ["#", "type", "label", "start", "first sector", "size", "sectors", "format", "mounted at"];

impl fmt::Display for DiskPlan {
    /// A table with offsets and sizes; one line per partition.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rows: Vec<_> = self.partitions.iter().map(|p| self.row(p)).collect();
        let widths: Vec<usize> = (0..HEADINGS.len())
            .map(|i| rows.iter().map(|r| r[i].chars().count()).chain([HEADINGS[i].len()]).max().unwrap_or(0))
            .collect();
        let sector = self.sector_size.bytes();
        let (size, sectors) = (human(self.bytes()), self.sectors);
        match self.table {
            TableKind::Gpt => write!(f, "disk {}: {size} ({sectors} sectors of {sector} bytes), GPT", self.disk_guid)?,
            TableKind::Mbr => {
                write!(f, "disk {:08x}: {size} ({sectors} sectors of {sector} bytes), MBR", self.signature())?
            }
        }
        writeln!(f)?;
        line(f, &HEADINGS.map(str::to_string), &widths)?;
        rows.iter().try_for_each(|row| line(f, row, &widths))
    }
}

/// Numbers stand right, words left; no blanks at the end.
fn line(f: &mut fmt::Formatter<'_>, cells: &[String; 9], widths: &[usize]) -> fmt::Result {
    let mut text = String::new();
    for (i, (cell, width)) in cells.iter().zip(widths).enumerate() {
        let pad = " ".repeat(width.saturating_sub(cell.chars().count()));
        match i {
            0 | 3..=6 => text.extend([pad.as_str(), cell]),
            _ => text.extend([cell, pad.as_str()]),
        }
        text.push_str("  ");
    }
    writeln!(f, "{}", text.trim_end())
}

impl DiskPlan {
    fn row(&self, p: &PlannedPartition) -> [String; 9] {
        let format = p.fs().map_or("-", |fs| FormatRules::of(fs.format).name);
        let mount_point = p.mount_point.as_deref().unwrap_or("-");
        [
            p.number.to_string(),
            p.kind.name().to_string(),
            p.label.clone(),
            human(self.offset_of(p)),
            p.first_lba.to_string(),
            human(self.bytes_of(p)),
            p.sectors.to_string(),
            format.to_string(),
            if p.grow { format!("{mount_point} (grows)") } else { mount_point.to_string() },
        ]
    }
}
