//! Bytes in every cut: where a protocol's input is cut must mean nothing to it.

/// So long an input is cut in every way there is; a longer one at every one and two places.
const EXHAUSTIVE: usize = 12;

/// Calls `check` with the bytes cut into pieces, in every way that is worth trying.
///
/// Up to twelve bytes: every cut there is. Longer ones: whole, byte by byte, and cut at every one
/// and at every two places.
///
/// ```
/// use ropewalk::simulation::every_split;
///
/// let mut ways = 0;
/// every_split(b"abc", |pieces| {
///     assert_eq!(pieces.concat(), b"abc");
///     ways += 1;
/// });
/// assert_eq!(ways, 4); // abc, a bc, ab c, a b c
/// ```
pub fn every_split(data: &[u8], mut check: impl FnMut(&[&[u8]])) {
    if data.len() <= EXHAUSTIVE {
        let cuts = data.len().saturating_sub(1) as u32;
        (0..1u32 << cuts).for_each(|mask| check(&split_by(data, mask)));
        return;
    }
    check(&[data]);
    check(&data.chunks(1).collect::<Vec<_>>());
    for first in 1..data.len() {
        check(&[&data[..first], &data[first..]]);
        for second in first + 1..data.len() {
            check(&[&data[..first], &data[first..second], &data[second..]]);
        }
    }
}

/// Cuts after byte n where bit n is set.
fn split_by(data: &[u8], mask: u32) -> Vec<&[u8]> {
    let mut pieces = Vec::new();
    let mut start = 0;
    for end in 1..=data.len() {
        if end == data.len() || mask & 1 << (end - 1) != 0 {
            pieces.push(&data[start..end]);
            start = end;
        }
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_input_is_cut_at_every_two_places() {
        let data = [0u8; 20];
        let mut ways = 0;
        every_split(&data, |pieces| {
            assert_eq!(pieces.concat(), data);
            assert!(pieces.iter().all(|piece| !piece.is_empty()));
            ways += 1;
        });
        assert_eq!(ways, 2 + 19 + 19 * 18 / 2);
    }

    #[test]
    fn nothing_is_cut_into_nothing() {
        every_split(b"", |pieces| assert!(pieces.is_empty()));
    }
}
