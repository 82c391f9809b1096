//! The plan of an installation, in words.

use std::fmt::Write as _;

use cairn_installer::install::InstallPlan;

use super::drawing::drawn;

/// The disk, what is now and then, what is lost, what to know.
pub fn shown(plan: &InstallPlan) -> String {
    format!("{}\n{}", disk(plan), details(plan))
}

/// The same with a drawing, for a terminal of this width.
pub fn page(plan: &InstallPlan, columns: usize) -> String {
    format!("{}\n{}\n{}", disk(plan), drawn(&plan.onto, columns), details(plan))
}

fn disk(plan: &InstallPlan) -> String {
    let name = plan.disk.by_id.first().map(|name| format!("/dev/disk/by-id/{name}\n")).unwrap_or_default();
    format!("{}\n{name}", plan.disk)
}

fn details(plan: &InstallPlan) -> String {
    let mut text = format!("{}\n", plan.onto);
    let losses = losses(plan);
    if losses.is_empty() {
        text.push_str("nothing that is there is lost\n");
    } else {
        text.push_str("LOST for good:\n");
        for loss in losses {
            let _ = writeln!(text, "  {loss}");
        }
    }
    for note in &plan.notes {
        let _ = writeln!(text, "note: {note}");
    }
    text
}

/// What is lost, each with its number.
pub fn losses(plan: &InstallPlan) -> Vec<String> {
    let there = &plan.onto.there;
    let renewed = plan.onto.renewed_root().is_some();
    let whole = plan.onto.lost_besides();
    let whole = whole.map(|what| if renewed { what } else { format!("all of the disk: {what}") });
    let partition = |one: &cairn_layout::onto::PartitionThere| {
        format!("partition {}: {}, {}", one.number, cairn_layout::human(one.sectors.bytes(there.sector)), one.what)
    };
    whole.into_iter().chain(plan.onto.losses().into_iter().map(partition)).collect()
}
