//! "Did you mean": the known word that is nearest to a mistyped one.

/// The nearest of the candidates, if one is near enough to be what was meant. Case and the difference between `-`
/// and `_` count little. Of several equally near ones that wins which begins like the word for longest, then the first.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let plain = normalise(word);
    let limit = match plain.len() {
        0 => return None,
        1..=3 => 1,
        4..=7 => 2,
        n => n / 3,
    };
    let mut best: Option<(usize, usize, &str)> = None;
    for candidate in candidates {
        let other = normalise(candidate);
        if other.len().abs_diff(plain.len()) > limit {
            continue;
        }
        let distance = distance(&plain, &other);
        let differs_at = plain.iter().zip(&other).take_while(|(a, b)| a == b).count();
        let nearer = |(d, at, _)| (distance, usize::MAX - differs_at) < (d, usize::MAX - at);
        if distance <= limit && distance < other.len() && best.is_none_or(nearer) {
            best = Some((distance, differs_at, candidate));
        }
    }
    best.map(|(_, _, candidate)| candidate)
}

fn normalise(word: &str) -> Vec<char> {
    word.chars().take(64).flat_map(char::to_lowercase).map(|c| if c == '-' { '_' } else { c }).collect()
}

/// Optimal string alignment: insertions, deletions, changes, and swaps of neighbours.
fn distance(a: &[char], b: &[char]) -> usize {
    let mut before: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i; b.len() + 1];
        for j in 1..=b.len() {
            let change = usize::from(a[i - 1] != b[j - 1]);
            row[j] = (above[j] + 1).min(row[j - 1] + 1).min(above[j - 1] + change);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                row[j] = row[j].min(before[j - 2] + 1);
            }
        }
        before = std::mem::replace(&mut above, row);
    }
    above[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_what_was_meant_and_nothing_far_off() {
        let keys = ["hostname", "hardware", "users", "groups", "ssh_authorized_keys"];
        assert_eq!(nearest("hostnmae", keys), Some("hostname"));
        assert_eq!(nearest("hostName", keys), Some("hostname"));
        assert_eq!(nearest("user", keys), Some("users"));
        assert_eq!(nearest("ssh-authorized-key", keys), Some("ssh_authorized_keys"));
        assert_eq!(nearest("wgettt", ["fgetty", "mgetty", "wget"]), Some("wget"));
        assert_eq!(nearest("networking", keys), None);
        assert_eq!(nearest("x", ["y"]), None);
        assert_eq!(nearest("", keys), None);
    }
}
