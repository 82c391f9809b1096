//! What another run makes of the states that a power cut left: each is mounted by the same kernel, and the run repeated.

use std::collections::BTreeMap;

use anyhow::{Context, Result};

use super::cases::Again;
use super::image::Image;
use super::primitive::look_at;
use super::record::{Kernel, Recording, Task, record};
use super::states::{Thorough, walk};

/// How many disks a guest takes at once.
const AT_ONCE: usize = 100;

/// States of recordings of a case that were judged, at most so many, spread over all that differ; each with what it is.
pub fn states<'a>(recordings: impl Iterator<Item = &'a Recording>, how: Thorough, most: usize) -> Vec<(Image, String)> {
    let mut all = Vec::new();
    for recording in recordings {
        let mut image = recording.first.clone();
        walk(&recording.log, &mut image, 1, how, &mut |image, moment| all.push((image.clone(), moment.to_string())));
    }
    let step = all.len().div_ceil(most.max(1)).max(1);
    all.into_iter().step_by(step).collect()
}

/// Runs it on each state; tells of those that did not come to the end that they should.
pub fn again(kernel: &Kernel, runs: &[(&Again, Image, String)]) -> Result<Vec<String>> {
    let mut bad = Vec::new();
    for some in runs.chunks(AT_ONCE) {
        let folder = tempfile::tempdir()?;
        let task = |(n, (run, image, _)): (usize, &(&Again, Image, String))| {
            (format!("{n:03}"), Task { script: run.script(), disk: Some(image.clone()) })
        };
        let tasks: BTreeMap<String, Task> = some.iter().enumerate().map(task).collect();
        let mut recordings = record(kernel, &tasks, folder.path())?;
        for (n, (run, _, moment)) in some.iter().enumerate() {
            let recording = recordings.remove(&format!("{n:03}")).context("not recorded")?;
            if let Err(why) = end(run, &recording) {
                bad.push(format!("{}, {moment}: {why}", run.case));
            }
        }
    }
    Ok(bad)
}

fn end(run: &Again, recording: &Recording) -> Result<(), String> {
    if let Some(why) = &recording.failed {
        return Err(why.clone());
    }
    if recording.said.contains("read-only") {
        return Err(recording.said.clone());
    }
    let mut image = recording.first.clone();
    recording.log.entries.iter().for_each(|entry| image.apply(entry, |_| true));
    let seen = look_at(&image, true)?;
    if let Some((path, what)) = seen.files.iter().find(|(_, what)| what.contains("chain") || what.contains("size")) {
        return Err(format!("{path}: {what}"));
    }
    seen.apart()?;
    seen.holds("cairn/m/next-linux", &[], &["old-big"])?;
    for (path, what) in
        [("loader/entries/good-1.conf", "good"), ("cairn/m/k1-linux", "kernel"), ("cairn/m/k1-initrd", "initrd")]
    {
        seen.holds(path, &[], &[what])?;
    }
    (run.end)(&seen)
}
