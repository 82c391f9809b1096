//! The verdict on a GRUB menu: start after start until a good entry boots, or until it is plain that none will.

use super::run::{End, Machine, Platform};
use crate::judge::fat::Fat;
use crate::judge::verdict::{Got, Known, Start, get};
use crate::judge::volume::Hashes;

/// The script in the core image finds the menu: `grub.cfg`, and `grub.old` unless that was whole.
fn early(prefix: &str) -> String {
    format!(
        "set prefix=(hd0){prefix}
set timeout=5
set default=0
if [ -s \"$prefix/grub.cfg\" ]; then source \"$prefix/grub.cfg\"; fi
if [ \"$cairn_menu\" != complete ]; then
  if [ -s \"$prefix/grub.old\" ]; then configfile \"$prefix/grub.old\"; fi
fi
if [ -z \"$cairn_menu\" ]; then reboot; fi
"
    )
}

fn start(fat: &Fat<'_>, hashes: &mut Hashes, end: &End) -> Result<Start, String> {
    let End::Boot(kernel, initrds, options) = end else { return Err(format!("{end:?}")) };
    let mut whole = |path: &String| match get(fat, hashes, path) {
        Got::Whole(hash) => Ok(hash),
        Got::Missing => Err(format!("{path} is missing")),
        Got::Damaged(why) => Err(format!("{path}: {why}")),
    };
    Ok(Start {
        kernel: whole(kernel)?,
        initrds: initrds.iter().map(whole).collect::<Result<_, _>>()?,
        options: options.clone(),
    })
}

/// What every entry starts, with its id. Entries that are not whole are left out.
pub fn starts(fat: &Fat<'_>, prefix: &str, platform: Platform, hashes: &mut Hashes) -> Vec<(String, Start)> {
    let mut shown = Machine::new(fat, prefix, platform);
    // When it has come to a menu already, that of `grub.old`, its entries are there as well.
    let _ = shown.script(&early(prefix));
    shown.each_item().iter().filter_map(|(id, end)| Some((id.clone(), start(fat, hashes, end).ok()?))).collect()
}

/// What starts by itself: a kernel, its initrds, its command line.
pub fn picked(fat: &Fat<'_>, prefix: &str, platform: Platform) -> Result<(String, Vec<String>, String), String> {
    match Machine::new(fat, prefix, platform).start(&early(prefix)) {
        End::Boot(kernel, initrds, options) => Ok((kernel, initrds, options)),
        end => Err(format!("{end:?}")),
    }
}

/// The verdict: `Err` says what is wrong.
pub fn judge(
    fat: &Fat<'_>,
    prefix: &str,
    platform: Platform,
    known: &Known,
    hashes: &mut Hashes,
) -> Result<(), String> {
    let there = starts(fat, prefix, platform, hashes);
    if !there.iter().any(|(_, start)| known.booted.contains(start)) {
        let ids: Vec<&String> = there.iter().map(|(id, _)| id).collect();
        return Err(format!("no entry is there that booted before, whole; listed and whole: {ids:?}"));
    }
    let mut machine = Machine::new(fat, prefix, platform);
    for _ in 0..32 {
        let before = machine.block.clone();
        let why = match machine.start(&early(prefix)) {
            End::Stands(why) => return Err(format!("the machine stands still: {why}")),
            End::Reboot => "it starts again".to_string(),
            end @ End::Boot(..) => match start(fat, hashes, &end) {
                Ok(start) if known.is_good(&start) => return Ok(()),
                Ok(start) if known.trials.contains(&start) => "a trial that fails".to_string(),
                Ok(_) => return Err(format!("it boots what nobody wrote: {end:?}")),
                Err(why) => why,
            },
        };
        if machine.block == before {
            return Err(format!("for ever, as nothing is counted: {why}"));
        }
        machine = machine.again();
    }
    Err("after 32 starts no good entry has booted".into())
}
