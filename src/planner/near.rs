//! What somebody probably meant who misspelt a word.

/// The word of `known` that is three edits away or less, the nearest one.
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    known
        .into_iter()
        .map(|known| (distance(known, word), known))
        .filter(|(distance, _)| *distance <= 3)
        .min()
        .map(|(_, known)| known)
}

/// Edits that turn one word into the other.
fn distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (i, from) in left.chars().enumerate() {
        let mut previous = row[0];
        row[0] = i + 1;
        for (j, to) in right.iter().enumerate() {
            let substituted = previous + usize::from(from != *to);
            previous = row[j + 1];
            row[j + 1] = substituted.min(row[j] + 1).min(previous + 1);
        }
    }
    row[right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_nearest_word_and_nothing_far() {
        assert_eq!(nearest("adress", ["host", "address"]), Some("address"));
        assert_eq!(nearest("zzzzzzzz", ["host", "address"]), None);
    }
}
