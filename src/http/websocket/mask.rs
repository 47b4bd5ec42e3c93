// The mask of a client's bytes: RFC 6455, 5.3.

/// Masks or unmasks bytes where they lie; `offset` is how many bytes of the frame came before them.
///
/// Eight at a time: the compiler makes one instruction of sixteen or more of it.
pub(super) fn apply(data: &mut [u8], key: [u8; 4], offset: u64) {
    let mut turned = key;
    turned.rotate_left((offset % 4) as usize);
    let half = u64::from(u32::from_le_bytes(turned));
    let word = half | half << 32;
    let (words, rest) = data.as_chunks_mut::<8>();
    for bytes in words {
        *bytes = (u64::from_le_bytes(*bytes) ^ word).to_le_bytes();
    }
    for (byte, key) in rest.iter_mut().zip(word.to_le_bytes()) {
        *byte ^= key;
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn words_and_bytes_are_masked_alike_from_any_offset() {
        let key = [1, 20, 77, 255];
        for length in 0..40 {
            for offset in 0..9 {
                let data: Vec<u8> = (0..length).map(|it: u8| it.wrapping_mul(7)).collect();
                let mut fast = data.clone();
                super::apply(&mut fast, key, offset);
                let slow = data.iter().zip((offset..).map(|at| key[(at % 4) as usize]));
                assert_eq!(fast, slow.map(|(byte, key)| byte ^ key).collect::<Vec<_>>());
            }
        }
    }
}
