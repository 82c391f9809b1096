//! The text of a case that was proved, as the calls that it comes to.
//!
//! A text says more than is called: it holds and removes what may be there, whether it is there or not. Followed from what the
//! partition holds at first, only what finds something remains. Handles are called by the path that they were opened at, and
//! contents are as good as others of their length. What is open at the end is closed there.

use std::collections::{BTreeMap, BTreeSet};

use qemu_tests::replay::cases::{AGAIN, HOLDS};
use qemu_tests::replay::primitive::{Case, SETUP};
use qemu_tests::replay::script::{Content, Step, parse};

/// A text, and what the partition holds before.
pub struct Text {
    pub name: String,
    pub setup: Vec<Step>,
    steps: Vec<Step>,
}

fn case(name: &str) -> &'static Case {
    HOLDS.iter().find(|case| case.name == name).unwrap_or_else(|| panic!("no case '{name}' holds"))
}

impl Text {
    /// Steps by themselves.
    pub fn of(steps: &str) -> Text {
        let read = |text: &str| parse(text).unwrap();
        Text { name: format!("'{steps}'"), setup: read(SETUP), steps: read(steps) }
    }

    fn after(setup: &str, steps: &str, name: &str) -> Text {
        let mut setup = parse(&format!("{SETUP}{setup}")).unwrap();
        let mut steps = parse(steps).unwrap();
        // It closes first what the setup has left open, or else the case's own holds decide nothing.
        let closes = steps.iter().take_while(|step| matches!(step, Step::Close(_))).count();
        setup.extend(steps.drain(..closes));
        Text { name: name.to_string(), setup, steps }
    }

    /// A case that holds.
    pub fn case(name: &str) -> Text {
        Text::after(case(name).setup, case(name).steps, name)
    }

    /// What another run does after a case that was cut, with what else is there then.
    pub fn again(name: &str, there: &str) -> Text {
        let run = AGAIN.iter().find(|run| run.case == name).unwrap_or_else(|| panic!("'{name}' is not run again"));
        Text::after(&format!("{}\nclose o\n{there}", case(name).setup), run.steps, &format!("{name}, again"))
    }

    /// A case that makes a folder in `outer` and works in it, done one folder deeper: the steps up to its first file, and then
    /// all of them in the folder that these made.
    pub fn folders_of_case(name: &str, outer: &str) -> Text {
        let once = Text::case(name);
        let made = once.steps.iter().find_map(|step| if let Step::Mkdir(path) = step { Some(path) } else { None });
        let made = made.unwrap_or_else(|| panic!("'{name}' makes no folder")).clone();
        let deeper = |path: &str| {
            let rest = path.strip_prefix(outer).unwrap_or_else(|| panic!("{path} is not in {outer}"));
            format!("{made}{rest}")
        };
        let is_file = |step: &&Step| !matches!(step, Step::Create(..));
        let mut steps: Vec<Step> = once.steps.iter().take_while(is_file).cloned().collect();
        steps.extend(once.steps.iter().map(|step| match step {
            Step::Mkdir(path) => Step::Mkdir(deeper(path)),
            Step::FsyncDir(path) => Step::FsyncDir(deeper(path)),
            Step::Create(handle, path, content) => Step::Create(handle.clone(), deeper(path), content.clone()),
            other => other.clone(),
        }));
        Text { name: format!("{name}, twice"), setup: once.setup, steps }
    }

    /// What of it is called.
    pub fn plain(&self) -> Vec<Step> {
        let mut at = State::default();
        self.setup.iter().for_each(|step| drop(at.step(step)));
        assert!(at.open.is_empty(), "{}: something holds {:?} all the time", self.name, at.open);
        ended(self.steps.iter().filter_map(|step| at.step(step)).collect())
    }
}

/// Contents of a length, whichever they are.
pub fn any(len: usize) -> Content {
    Content::Random(0, len)
}

/// Steps without what closes at the very end.
pub fn ended(mut steps: Vec<Step>) -> Vec<Step> {
    while steps.pop_if(|step| matches!(step, Step::Close(_))).is_some() {}
    steps
}

/// What is there, and what is open, at which path it was opened.
#[derive(Default)]
struct State {
    there: BTreeSet<String>,
    open: BTreeMap<String, String>,
}

impl State {
    /// Goes a step; gives it with paths for handles, if it finds something.
    fn step(&mut self, step: &Step) -> Option<Step> {
        let path = |handle: &String| self.open.get(handle).unwrap_or_else(|| panic!("'{handle}' is not open")).clone();
        Some(match step {
            Step::Create(handle, path, content) => {
                self.there.insert(path.clone());
                self.open.insert(handle.clone(), path.clone());
                Step::Create(path.clone(), path.clone(), any(content.bytes().len()))
            }
            Step::Open(handle, path) => {
                self.open.insert(handle.clone(), path.clone());
                Step::Open(path.clone(), path.clone())
            }
            Step::Hold(handle, path) if self.there.contains(path) => {
                self.open.insert(handle.clone(), path.clone());
                Step::Hold(path.clone(), path.clone())
            }
            Step::Close(handle) => Step::Close(self.open.remove(handle)?),
            Step::Remove(path) | Step::Unlink(path) if self.there.remove(path) => Step::Unlink(path.clone()),
            Step::Hold(..) | Step::Remove(_) => return None,
            Step::Rename(from, to) => {
                assert!(self.there.remove(from), "{from} is not there");
                self.there.insert(to.clone());
                step.clone()
            }
            Step::Mkdir(path) => {
                self.there.insert(path.clone());
                step.clone()
            }
            Step::Write(handle, offset, content) => Step::Write(path(handle), *offset, any(content.bytes().len())),
            Step::Reserve(handle, size) => Step::Reserve(path(handle), *size),
            Step::Writeout(handle) => Step::Writeout(path(handle)),
            Step::Fsync(handle) => Step::Fsync(path(handle)),
            Step::FsyncDir(_) | Step::Syncfs => step.clone(),
            other => panic!("{other:?} in what the boot transaction is made of"),
        })
    }
}
