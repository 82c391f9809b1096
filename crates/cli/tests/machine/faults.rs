//! Changes that fail before each of their steps, in the one place where faults are injected: whether something was touched is known
//! by construction, and the same command, run again, comes to the same end.

use std::collections::BTreeMap;
use std::io;

use cairn_boot::Record;
use cairn_process::{AfterWrite, Quiet};
use cairn_update::{
    BootMenu, Change, Faults, Needs, NoFaults, Session, Step, carry_out, gc, repair, rollback, upgrade,
};

use crate::made::{Made, SystemOf};

/// Fails before the step of this number, and notes whether one before it has touched something.
struct At {
    left: usize,
    touched: bool,
}

impl Faults for At {
    fn before(&mut self, step: &Step) -> io::Result<()> {
        match self.left.checked_sub(1) {
            None => return Err(io::Error::other("as it was to be")),
            Some(left) => self.left = left,
        }
        self.touched |= step.touches();
        Ok(())
    }
}

/// What a machine is and boots: entries, what it remembers, its generations.
#[derive(Debug, PartialEq)]
struct State(Vec<String>, Option<Record>, Vec<u64>, Option<u64>);

fn state(made: &Made) -> State {
    let generations = made.generations();
    let numbers = generations.list().unwrap().into_iter().map(|g| g.number).collect();
    let record = std::fs::read_to_string(made.root().join("var/lib/cairn/boot.json")).ok();
    let record = record.and_then(|text| Record::parse(&text).ok());
    State(made.boot_files(), record, numbers, generations.current().unwrap())
}

/// Three good generations, and a boot partition that is as it should be.
fn machine() -> Option<Made> {
    let made = Made::mounted(&["one", "two", "three"].map(SystemOf::named))?;
    let mut record = Record::first(1);
    (2..=3).for_each(|n| record.booted_well(n));
    made.record(&record);
    made.run(&["boot", "repair"]).done();
    Some(made)
}

type Planned = (Change, Option<BootMenu<'static>>);

/// Lets a change fail before each of its steps, on a machine of its own each time.
fn at_every_step(
    needs: Needs,
    prepare: impl Fn(&Made),
    plan: impl Fn(&mut Session) -> Planned,
) -> BTreeMap<usize, bool> {
    let begin = |made: &Made| Session::begin(made.root(), needs, None, &Quiet).unwrap();
    let Some(whole) = machine() else { return BTreeMap::new() };
    prepare(&whole);
    let steps = {
        let mut session = begin(&whole);
        let (change, mut menu) = plan(&mut session);
        assert_eq!(serde_json::to_value(&change).unwrap().as_array().unwrap().len(), change.stages.len());
        carry_out(&mut session, menu.as_mut(), &change, &mut NoFaults, &Quiet).unwrap();
        change.steps().count()
    };
    let end = state(&whole);
    drop(whole);
    let mut told = BTreeMap::new();
    for n in 0..steps {
        let made = machine().unwrap();
        prepare(&made);
        let before = state(&made);
        {
            let mut session = begin(&made);
            let (change, mut menu) = plan(&mut session);
            let mut faults = At { left: n, touched: false };
            let error = carry_out(&mut session, menu.as_mut(), &change, &mut faults, &Quiet).unwrap_err();
            assert!(format!("{error:#}").contains("as it was to be"), "{n}: {error:#}");
            assert_eq!(error.chain().any(|cause| cause.is::<AfterWrite>()), faults.touched, "{n}: {error:#}");
            assert!(faults.touched || state(&made) == before, "{n}: something is another");
            told.insert(n, faults.touched);
        }
        let mut session = begin(&made);
        let (change, mut menu) = plan(&mut session);
        carry_out(&mut session, menu.as_mut(), &change, &mut NoFaults, &Quiet).unwrap();
        drop(session);
        let now = state(&made);
        // How often somebody has said what is to boot is counted.
        let plain = |State(entries, record, numbers, current): State| {
            State(entries, record.map(|record| Record { said: 0, ..record }), numbers, current)
        };
        assert_eq!(plain(now), plain(State(end.0.clone(), end.1.clone(), end.2.clone(), end.3)), "{n}");
        made.run(&["boot", "check"]).done();
    }
    told
}

/// Steps before and after which something was touched: there are some of both.
fn both(told: &BTreeMap<usize, bool>) {
    assert!(told.is_empty() || (told.values().any(|t| *t) && told.values().any(|t| !*t)), "{told:?}");
}

#[test]
fn a_rollback() {
    both(&at_every_step(
        Needs::Menu,
        |_| (),
        |session| {
            let wish = rollback::Wish { generation: Some(1), once: false };
            let found = rollback::plan(session, wish).unwrap();
            (found.change, Some(found.menu))
        },
    ));
}

#[test]
fn a_repair() {
    let spoil = |made: &Made| {
        let entry = made.boot_files().into_iter().find(|f| f.contains("loader/entries/cairn-")).unwrap();
        std::fs::remove_file(made.root().join("boot").join(entry)).unwrap();
        std::fs::write(made.root().join("var/lib/cairn/boot.json"), "{").unwrap();
    };
    both(&at_every_step(Needs::Menu, spoil, |session| {
        let found = repair::plan(session).unwrap();
        (found.change, Some(found.menu))
    }));
}

#[test]
fn a_collection() {
    both(&at_every_step(
        Needs::Room,
        |_| (),
        |session| {
            let rule = gc::Rule { keep: Some(1), ..gc::Rule::default() };
            let found = gc::plan(session, &rule, &Quiet).unwrap();
            (found.change, found.menu)
        },
    ));
}

#[test]
fn an_upgrade() {
    let there = Made::with(&[SystemOf { kernel: "6.13", ..SystemOf::named("four") }]);
    both(&at_every_step(
        Needs::Store,
        |_| (),
        |session| {
            let wish = upgrade::Wish {
                file: None,
                from: Some(there.root().to_path_buf()),
                system: None,
                program: "/nowhere".into(),
                usr: BTreeMap::new(),
            };
            let brought = upgrade::bring(session, wish, &Quiet).unwrap();
            let found = upgrade::plan(session, brought).unwrap();
            (found.change, Some(found.menu))
        },
    ));
}

#[test]
fn what_only_looks_carries_out_nothing() {
    let Some(made) = machine() else { return };
    let before = made.fingerprint();
    let mut session = Session::look(made.root(), None).unwrap();
    let found = rollback::plan(&session, rollback::Wish { generation: Some(1), once: false }).unwrap();
    assert!(!found.change.words().is_empty());
    let mut menu = found.menu;
    let error = carry_out(&mut session, Some(&mut menu), &found.change, &mut NoFaults, &Quiet).unwrap_err();
    assert_eq!(error.to_string(), "this session only looks");
    assert_eq!(made.fingerprint(), before);
}

#[test]
fn a_dry_run_of_each_says_what_is_done_and_does_nothing() {
    let Some(made) = machine() else { return };
    let there = Made::with(&[SystemOf::named("four")]);
    let from = there.root().to_str().unwrap();
    let entry = made.boot_files().into_iter().find(|f| f.contains("loader/entries/cairn-")).unwrap();
    std::fs::remove_file(made.root().join("boot").join(&entry)).unwrap();
    let before = state(&made);
    for (args, says) in [
        (&["rollback", "1", "--dry-run"][..], "would make generation 1 the current one\n"),
        (&["boot", "repair", "--dry-run"], "would write 1 file on /boot, "),
        (&["gc", "--keep", "1", "--dry-run"], "generations 1 and 2 would be removed\n"),
        (&["upgrade", "--from", from, "--dry-run"], "would make generation 4 of /nix/store/"),
    ] {
        let ran = made.run(args);
        assert_eq!(ran.code, 0, "{args:?}: {}", ran.err);
        assert!(ran.out.contains(says), "{args:?}: {}", ran.out);
        let json = made.run(&[args, &["--json"]].concat()).json();
        assert_eq!(json["dry_run"], true, "{args:?}");
        assert!(json["change"].as_array().is_some_and(|stages| !stages.is_empty()), "{args:?}: {json}");
        assert!(args[0] == "gc" || json.to_string().contains("loader/entries/cairn-"), "{args:?}: {json}");
        assert_eq!(state(&made), before, "{args:?}");
    }
}
