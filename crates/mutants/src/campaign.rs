//! Every mutant against the tests that reach it.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::report;
use crate::suite::{self, End, Test};
use crate::viable::{Numbered, WOVEN};

/// A test without a mutant.
#[derive(Debug, Deserialize, Serialize)]
pub struct Known {
    pub test: Test,
    pub seconds: f64,
    pub passed: bool,
    pub reached: Vec<usize>,
}

/// What became of a mutant.
#[derive(Debug, Clone, Deserialize, Serialize)]
pub struct Verdict {
    pub number: usize,
    pub kind: VerdictKind,
    /// The test that noticed.
    pub by: Option<String>,
    /// Tests that take longer were not run.
    pub seconds: f64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
pub enum VerdictKind {
    /// A test failed.
    Caught,
    /// A test did not end.
    Late,
    /// All tests passed.
    Survived,
    /// No test reaches it.
    Unreached,
    /// By itself it does not compile.
    DoesNotCompile,
}

const SUITE: &str = "suite.json";
const TESTS: &str = "tests.json";
pub const VERDICTS: &str = "verdicts.jsonl";

/// How long a test without a fault may take.
const PATIENCE: Duration = Duration::from_secs(600);

/// Builds the tests and writes down which there are.
pub fn list(tree: &Path, folder: &Path) -> Result<()> {
    fs::create_dir_all(folder)?;
    Ok(fs::write(folder.join(SUITE), serde_json::to_vec_pretty(&suite::list(tree)?)?)?)
}

/// How long a test of a mutant may take that is said to be equivalent: enough to see that somebody was wrong, as a rule.
const OF_EQUIVALENT: f64 = 2.0;

/// Runs what is not known yet, with tests of up to so many seconds; what is found is kept in the folder.
pub fn run(tree: &Path, folder: &Path, jobs: usize, seconds: f64, equivalent: &Path) -> Result<()> {
    let equivalent = report::equivalent(equivalent)?;
    let most = |one: &Numbered| if equivalent.contains(&one.mutant.key) { OF_EQUIVALENT.min(seconds) } else { seconds };
    let scratch = tempfile::tempdir()?;
    fs::set_permissions(scratch.path(), Permissions::from_mode(0o711))?;
    let tests = match read(&folder.join(TESTS)) {
        Ok(tests) => tests,
        Err(_) => {
            let found = reach(read(&folder.join(SUITE))?, jobs, scratch.path())?;
            fs::write(folder.join(TESTS), serde_json::to_vec_pretty(&found)?)?;
            found
        }
    };
    let known = verdicts(folder)?;
    let all: Vec<Numbered> = read(&tree.with_file_name(WOVEN))?;
    let open = all.iter().filter(|m| m.left_out.is_none()).filter(|m| {
        known.get(&m.number).is_none_or(|verdict| verdict.kind == VerdictKind::Survived && verdict.seconds < most(m))
    });
    let open: Vec<&Numbered> = open.collect();
    let out = Mutex::new(OpenOptions::new().create(true).append(true).open(folder.join(VERDICTS))?);
    let count = AtomicUsize::new(0);
    in_parallel(jobs, open.len(), |index| {
        let number = open[index].number;
        let from = known.get(&number).map_or(-1.0, |verdict| verdict.seconds);
        let verdict = judge(number, &tests, from, most(open[index]), scratch.path())?;
        let mut line = serde_json::to_vec(&verdict)?;
        line.push(b'\n');
        out.lock().unwrap_or_else(std::sync::PoisonError::into_inner).write_all(&line)?;
        let done = count.fetch_add(1, Ordering::Relaxed) + 1;
        if done.is_multiple_of(50) || verdict.kind == VerdictKind::Survived {
            eprintln!("{done} of {}: {:?} {}", open.len(), verdict.kind, open[index].mutant.name);
        }
        Ok(())
    })
}

/// What was found before; the last word counts.
pub fn verdicts(folder: &Path) -> Result<BTreeMap<usize, Verdict>> {
    let text = fs::read_to_string(folder.join(VERDICTS)).unwrap_or_default();
    let mut found = BTreeMap::new();
    for line in text.lines() {
        let verdict: Verdict = serde_json::from_str(line)?;
        found.insert(verdict.number, verdict);
    }
    Ok(found)
}

pub fn read<T: DeserializeOwned>(path: &Path) -> Result<T> {
    let file = File::open(path).with_context(|| format!("opening {}", path.display()))?;
    serde_json::from_reader(std::io::BufReader::new(file)).with_context(|| format!("reading {}", path.display()))
}

/// Every test once, without a mutant.
fn reach(tests: Vec<Test>, jobs: usize, scratch: &Path) -> Result<Vec<Known>> {
    let found = Mutex::new(Vec::new());
    in_parallel(jobs, tests.len(), |index| {
        let test = &tests[index];
        let file = scratch.join(format!("reached-{index}"));
        // Some tests become somebody else, who reaches mutants too.
        fs::write(&file, "")?;
        fs::set_permissions(&file, Permissions::from_mode(0o666))?;
        let (mut end, mut took) = test.run(0, Some(&file), PATIENCE, scratch)?;
        if end != End::Passed {
            // Writing down what is reached is in the way of a test that counts system calls.
            (end, took) = test.run(0, None, PATIENCE, scratch)?;
        }
        if end != End::Passed {
            eprintln!("{} {}: {end:?} without a mutant", test.package, test.name);
        }
        let mut reached: Vec<usize> =
            fs::read_to_string(&file).unwrap_or_default().lines().filter_map(|line| line.parse().ok()).collect();
        reached.sort_unstable();
        reached.dedup();
        let known = Known { test: test.clone(), seconds: took.as_secs_f64(), passed: end == End::Passed, reached };
        let mut found = found.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        found.push(known);
        if found.len().is_multiple_of(50) {
            eprintln!("{} of {} tests", found.len(), tests.len());
        }
        Ok(())
    })?;
    let mut found = found.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    found.sort_by(|a, b| a.seconds.total_cmp(&b.seconds));
    Ok(found)
}

/// One mutant, against tests that take longer than `from` and no longer than `most` seconds.
fn judge(number: usize, tests: &[Known], from: f64, most: f64, scratch: &Path) -> Result<Verdict> {
    let reaching = || tests.iter().filter(|t| t.passed && t.reached.binary_search(&number).is_ok());
    let verdict = |kind, by| Ok(Verdict { number, kind, by, seconds: most });
    if reaching().next().is_none() {
        return verdict(VerdictKind::Unreached, None);
    }
    for known in reaching().filter(|t| t.seconds > from && t.seconds <= most) {
        // Others may compute at the same time.
        let patience = Duration::from_secs_f64(20.0 + 5.0 * known.seconds);
        let (end, _) = known.test.run(number, None, patience, scratch)?;
        let kind = match end {
            End::Passed => continue,
            End::Failed => VerdictKind::Caught,
            End::Late => VerdictKind::Late,
        };
        return verdict(kind, Some(format!("{} {}", known.test.package, known.test.name)));
    }
    verdict(VerdictKind::Survived, None)
}

/// Does something with each number below a count, in so many threads; the first error ends it.
fn in_parallel(jobs: usize, count: usize, work: impl Fn(usize) -> Result<()> + Sync) -> Result<()> {
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        let worker = || {
            loop {
                let index = next.fetch_add(1, Ordering::Relaxed);
                if index >= count {
                    return Ok(());
                }
                work(index).inspect_err(|_| next.store(count, Ordering::Relaxed))?;
            }
        };
        let all: Vec<_> = (0..jobs).map(|_| scope.spawn(worker)).collect();
        all.into_iter().try_for_each(|one| one.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
    })
}
