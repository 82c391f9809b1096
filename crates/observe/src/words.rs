//! Numbers of generations in words.

/// Rising numbers, those that follow on each other together: `1 to 4`, `7`.
pub fn runs(numbers: impl IntoIterator<Item = u64>) -> Vec<String> {
    let mut runs: Vec<(u64, u64)> = Vec::new();
    for n in numbers {
        match runs.last_mut() {
            Some((_, end)) if *end + 1 == n => *end = n,
            _ => runs.push((n, n)),
        }
    }
    let words = runs.iter().flat_map(|(a, b)| match b - a {
        0 => vec![a.to_string()],
        1 => vec![a.to_string(), b.to_string()],
        _ => vec![format!("{a} to {b}")],
    });
    words.collect()
}

/// Rising numbers in words: "generation 3", "generations 3 and 4", "generations 1 to 5 and 9".
pub fn numbers(numbers: impl IntoIterator<Item = u64>) -> String {
    match runs(numbers).as_slice() {
        [one] if !one.contains(' ') => format!("generation {one}"),
        [one] => format!("generations {one}"),
        [all @ .., last] => format!("generations {} and {last}", all.join(", ")),
        [] => "no generation".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_told_in_few_words() {
        assert_eq!(runs([1, 2, 3, 4, 7, 9, 10]).join(", "), "1 to 4, 7, 9, 10");
        for (all, words) in [
            (&[3][..], "generation 3"),
            (&[3, 4], "generations 3 and 4"),
            (&[1, 2, 3, 4, 5, 9], "generations 1 to 5 and 9"),
            (&[1, 2, 3], "generations 1 to 3"),
            (&[], "no generation"),
        ] {
            assert_eq!(numbers(all.iter().copied()), words);
        }
    }
}
