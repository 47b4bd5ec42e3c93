// UTF-8 in pieces, wrong at the first byte that no text can have there.
//
// # Invariants
// * `begun` holds the first bytes of a character that may still become one: one to three, or none.

/// Looks at text that comes in pieces.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct Utf8 {
    begun: [u8; 4],
    length: usize,
}

impl Utf8 {
    /// Looks at a piece; the place of the byte that is wrong.
    pub(super) fn push(&mut self, piece: &[u8]) -> Result<(), usize> {
        let mut at = 0;
        while self.length > 0 && at < piece.len() {
            self.push_byte(piece[at]).ok_or(at)?;
            at += 1;
        }
        let Err(error) = str::from_utf8(&piece[at..]) else { return Ok(()) };
        at += error.valid_up_to();
        // What is left is the begin of a character, or has a wrong byte within the next four.
        for (place, &byte) in piece.iter().enumerate().skip(at) {
            self.push_byte(byte).ok_or(place)?;
        }
        Ok(())
    }

    /// Whether no character is begun.
    pub(super) fn is_whole(self) -> bool {
        self.length == 0
    }

    fn push_byte(&mut self, byte: u8) -> Option<()> {
        self.begun[self.length] = byte;
        self.length += 1;
        match str::from_utf8(&self.begun[..self.length]) {
            Ok(_) => self.length = 0,
            Err(error) if error.error_len().is_none() => {}
            Err(_) => return None,
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::Utf8;

    /// Where the first wrong byte is, or whether the text is whole, byte by byte.
    fn slowly(text: &[u8]) -> Result<bool, usize> {
        for end in 1..=text.len() {
            if str::from_utf8(&text[..end]).is_err_and(|error| error.error_len().is_some()) {
                return Err(end - 1);
            }
        }
        Ok(str::from_utf8(text).is_ok())
    }

    #[test]
    fn the_first_wrong_byte_is_told_in_every_split() {
        let texts: [&[u8]; 12] = [
            b"plain",
            "κόσμε \u{10ffff} x".as_bytes(),
            b"\xce",
            b"a\xce\xbaz\xed\xa0\x80edited",
            b"\xf4\x90\x80\x80",
            b"\xf4\x8f\xbf\xbf",
            b"\xc0\xaf",
            b"\xe0\x80\xaf",
            b"ab\xff",
            b"\x80",
            b"\xe2\x28\xa1",
            b"\xf0\x9f\x92",
        ];
        for text in texts {
            for first in 0..=text.len() {
                for second in first..=text.len() {
                    let mut utf8 = Utf8::default();
                    let cuts = [0, first, second, text.len()];
                    let mut pieces = cuts.windows(2);
                    let wrong = pieces.find_map(|cut| {
                        utf8.push(&text[cut[0]..cut[1]]).err().map(|at| cut[0] + at)
                    });
                    let found = wrong.map_or(Ok(utf8.is_whole()), Err);
                    assert_eq!(found, slowly(text), "{text:x?} {cuts:?}");
                }
            }
        }
    }
}
