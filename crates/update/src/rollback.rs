//! Another generation from the next boot on.

use cairn_boot::Record;
use cairn_observe::Observed;
use cairn_process::Refusal;

use crate::change::{Change, StageName, Step};
use crate::firmware;
use crate::menu::{BootMenu, Occasion};
use crate::session::Session;

/// What is wanted.
#[derive(Debug, Clone, Copy, Default)]
pub struct Wish {
    /// The generation; without one it is the one before that has booted well.
    pub generation: Option<u64>,
    /// At the next boot only.
    pub once: bool,
}

/// What is to be done.
#[derive(Debug)]
pub struct Rollback {
    /// The steps.
    pub change: Change,
    /// The boot partitions that they are for.
    pub menu: BootMenu<'static>,
    /// The generation.
    pub number: u64,
    /// Whether it is tried, for it has not booted well yet.
    pub trial: bool,
}

/// Works out what is to be done.
///
/// # Errors
/// A generation that is not there, or cannot be booted, is refused.
pub fn plan(session: &Session, wish: Wish) -> anyhow::Result<Rollback> {
    let observed = &session.observed;
    let mut menu = session.menu(&[])?;
    let mut record = session.settled(&menu)?;
    let number = match wish.generation {
        Some(number) => number,
        None => before(observed, &record)?,
    };
    observed.find(number)?;
    let mut change = Change::default();
    let trial = match wish.once {
        // The loader is told, and nothing else remembers it.
        true => {
            let in_partition = menu.once(number, &record)?;
            if !in_partition {
                // Before anything is changed.
                firmware::variables(&session.root)?;
            }
            menu.plan_to_apply(&record, Occasion::Other)?.into_stages(&mut record, &mut change);
            if !in_partition {
                let left = "the same command goes on from here";
                change.stage(StageName::Firmware, left, vec![Step::Once(number)]);
            }
            false
        }
        false => {
            record.want(number);
            let planned = menu.plan_to_apply(&record, Occasion::Choice)?;
            // The link first: without its entry in the menu it changes nothing about what boots.
            let left = "the machine boots what it booted before; the same command goes on from here";
            change.stage(StageName::Generations, left, vec![Step::Switch(number)]);
            planned.into_stages(&mut record, &mut change);
            record.trial.is_some()
        }
    };
    Ok(Rollback { change, menu, number, trial })
}

/// The newest good generation before the one that would boot.
fn before(observed: &Observed<'_>, record: &Record) -> anyhow::Result<u64> {
    let there = observed.numbers();
    let good: Vec<u64> = record.good.iter().copied().filter(|n| there.contains(n)).collect();
    let next = record.trial.or(record.default).or(good.last().copied());
    let found = good.iter().rev().find(|n| Some(**n) < next).copied();
    found.ok_or_else(|| Refusal("there is no older generation that has booted well: name one".into()).into())
}
