//! An inspection for people.

use std::fmt;

use cairn_layout::human;
use cairn_process::text::one_line;

use super::Inspection;

impl fmt::Display for Inspection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{}: {}, {} ({} on disk)",
            one_line(&self.path.to_string_lossy()),
            self.format,
            human(self.virtual_size),
            human(self.disk_usage)
        )?;
        if let (Some(table), Some(id), Some(sector)) = (self.table, &self.disk_id, self.sector_size) {
            writeln!(f, "{} {id}, sectors of {sector} bytes", table.name().to_uppercase())?;
        }
        self.partitions(f)?;
        self.boot(f)?;
        self.system(f)?;
        for note in &self.notes {
            writeln!(f, "\nnote: {}", one_line(note))?;
        }
        Ok(())
    }
}

impl Inspection {
    fn partitions(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let dash = || "-".to_string();
        let size = |n: Option<u64>| n.map_or_else(dash, human);
        let rows = self.partitions.iter().map(|p| {
            let fs = p.file_system.as_ref();
            vec![
                p.number.to_string(),
                p.type_name.map_or_else(|| p.type_id.clone(), str::to_string),
                p.label.clone(),
                human(p.start),
                human(p.size),
                fs.map_or_else(dash, |fs| fs.format.clone()),
                size(fs.and_then(|fs| fs.used)),
                size(fs.and_then(|fs| fs.free)),
                fs.and_then(|fs| fs.uuid.clone()).unwrap_or_else(dash),
                p.part_uuid.clone(),
            ]
        });
        let headings = ["#", "type", "label", "start", "size", "format", "used", "free", "uuid", "partition uuid"];
        table(f, "partitions", &headings, rows.collect())
    }

    fn boot(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(boot) = &self.boot else { return Ok(()) };
        if !boot.loader.is_empty() {
            let settings: Vec<_> = boot.loader.iter().map(|(key, value)| format!("{key} {value}")).collect();
            writeln!(f, "\nloader.conf: {}", one_line(&settings.join(", ")))?;
        }
        for entry in &boot.entries {
            writeln!(f, "\nentry {}", one_line(&entry.file))?;
            let version = entry.version.as_deref().unwrap_or_default();
            let title = format!("{} {version}", entry.title.as_deref().unwrap_or("-"));
            writeln!(f, "  title    {}", one_line(&title))?;
            for path in entry.loads() {
                let missing = if entry.missing.contains(path) { "  (MISSING)" } else { "" };
                writeln!(f, "  loads    {}{missing}", one_line(path))?;
            }
            writeln!(f, "  options  {}", one_line(&entry.options))?;
        }
        let rows = boot.files.iter().map(|file| vec![file.partition.clone(), human(file.size), file.path.clone()]);
        table(f, "boot files", &["partition", "size", "path"], rows.collect())
    }

    fn system(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rows = self.generations.iter().map(|g| {
            let mark = if g.current { "*" } else { "" };
            vec![g.number.to_string(), mark.to_string(), g.system.clone()]
        });
        table(f, "generations", &["#", "", "system"], rows.collect())?;
        if let Some(system) = &self.system {
            writeln!(f)?;
            let dash = |text: &Option<String>| one_line(text.as_deref().unwrap_or("-")).into_owned();
            writeln!(f, "host name  {}", dash(&system.hostname))?;
            writeln!(f, "system     {}", dash(&system.label))?;
            writeln!(f, "kernel     {}", dash(&system.kernel))?;
            writeln!(f, "parameters {}", one_line(&system.kernel_parameters.join(" ")))?;
        }
        let total = self.closure.iter().fold(0_u64, |sum, path| sum.saturating_add(path.nar_size));
        let title = format!("closure: {} paths, {}", self.closure.len(), human(total));
        let rows = self.closure.iter().map(|path| vec![human(path.nar_size), path.path.clone()]);
        table(f, &title, &["size", "path"], rows.collect())?;
        let title = format!("packages: {}", self.packages.len());
        let rows = self.packages.iter().map(|package| vec![package.name.clone(), package.version.clone()]);
        table(f, &title, &["name", "version"], rows.collect())
    }
}

/// No column is wider than this, or one long cell would make every row as long.
const WIDEST: usize = 120;

/// Columns as wide as their widest cell; nothing at all without rows.
fn table(f: &mut fmt::Formatter<'_>, title: &str, headings: &[&str], rows: Vec<Vec<String>>) -> fmt::Result {
    if rows.is_empty() {
        return Ok(());
    }
    let rows: Vec<Vec<String>> =
        rows.iter().map(|row| row.iter().map(|cell| one_line(cell).into_owned()).collect()).collect();
    let widths: Vec<usize> = (0..headings.len())
        .map(|i| {
            rows.iter().map(|row| row[i].chars().count()).chain([headings[i].len()]).max().unwrap_or(0).min(WIDEST)
        })
        .collect();
    let headings = headings.iter().map(ToString::to_string).collect();
    writeln!(f, "\n{title}")?;
    for row in std::iter::once(&headings).chain(&rows) {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
        writeln!(f, "  {}", cells.collect::<Vec<String>>().join("  ").trim_end())?;
    }
    Ok(())
}
