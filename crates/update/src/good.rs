//! The generation that runs has booted well: that is recorded, and what is not as it should be on the boot partition is mended, but
//! for what somebody may have chosen in the menu.

use anyhow::Context;

use crate::change::{Change, StageName, Step};
use crate::menu::{BootMenu, Occasion};
use crate::session::Session;

/// What is to be done.
#[derive(Debug)]
pub struct Good {
    /// The steps; none where a variant runs, for that says nothing of the generation.
    pub change: Change,
    /// The boot partitions that they are for.
    pub menu: BootMenu<'static>,
    /// The generation that runs.
    pub booted: u64,
    /// The variant of it that runs, if it is not the generation itself.
    pub variant: Option<String>,
}

/// Works out what is to be done.
///
/// # Errors
/// When none of the machine's generations runs here; what cannot be done is refused.
pub fn plan(session: &Session) -> anyhow::Result<Good> {
    let observed = &session.observed;
    let booted =
        observed.booted.context("what runs here is none of this machine's generations: nothing is recorded")?;
    let menu = session.menu(&[])?.as_loaded();
    let mut record = session.settled(&menu)?;
    let mut change = Change::default();
    if let Some(variant) = observed.variant.clone() {
        return Ok(Good { change, menu, booted, variant: Some(variant) });
    }
    record.booted_well(booted);
    menu.plan_to_apply(&record, Occasion::Other)?.into_stages(&mut record, &mut change);
    let there = observed.numbers();
    let failed: Vec<u64> = record.failed.iter().copied().filter(|n| *n > booted && there.contains(n)).collect();
    let told = Step::Tell(vec![format!("generation {booted} has booted well")]);
    let notice = Step::Notice { booted, failed, record: Box::new(record) };
    change.stage(StageName::Afterwards, "what is said at the login is of before", vec![told, notice]);
    Ok(Good { change, menu, booted, variant: None })
}
