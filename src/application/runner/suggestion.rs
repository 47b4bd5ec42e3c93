//! What was meant by an option that there is not.

/// The option that an argument is most like, if it is none itself and like one at all; `help` names all.
pub(super) fn meant<'h>(arguments: &[String], help: &'h str) -> Option<&'h str> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '-';
    let known: Vec<&str> = help
        .split(|c| !is_part(c))
        .filter(|word| word.starts_with("--") && word.len() > 2)
        .collect();
    let given = arguments.iter().map(|argument| argument.split('=').next().unwrap_or(argument));
    let unknown = given.filter(|word| word.starts_with("--") && word.len() > 3);
    let mut unknown = unknown.filter(|word| !known.contains(word));
    let word = unknown.next()?;
    let nearest = known.iter().map(|other| (distance(word, other), *other)).min()?;
    (nearest.0 <= 2).then_some(nearest.1)
}

/// How many letters have to be put in, taken out, changed or exchanged with their neighbour.
fn distance(one: &str, other: &str) -> usize {
    let (one, other) = (one.as_bytes(), other.as_bytes());
    let mut rows: Vec<Vec<usize>> = vec![(0..=other.len()).collect()];
    for i in 1..=one.len() {
        let mut row = vec![i];
        for j in 1..=other.len() {
            let is_same = one[i - 1] == other[j - 1];
            let change = rows[i - 1][j - 1] + usize::from(!is_same);
            let mut least = change.min(rows[i - 1][j] + 1).min(row[j - 1] + 1);
            let is_exchanged =
                i > 1 && j > 1 && one[i - 1] == other[j - 2] && one[i - 2] == other[j - 1];
            if is_exchanged {
                least = least.min(rows[i - 2][j - 2] + 1);
            }
            row.push(least);
        }
        rows.push(row);
    }
    rows[one.len()][other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_option_is_named_and_none_that_is_far() {
        let help = "  -l, --logfile=FILE  Log\n      --log-level=LEVEL\n  -h, --help";
        let meant = |word: &str| meant(&["-n".into(), word.to_owned()], help);
        assert_eq!(meant("--hlep"), Some("--help"));
        assert_eq!(meant("--logflie=x"), Some("--logfile"));
        assert_eq!(meant("--log-level"), None, "it is one");
        assert_eq!(meant("--frobnicate"), None);
        assert_eq!(meant("--"), None);
    }

    #[test]
    fn distances_count_exchanged_neighbours_once() {
        assert_eq!(distance("abc", "acb"), 1);
        assert_eq!(distance("", "ab"), 2);
        assert_eq!(distance("abc", "abc"), 0);
    }
}
