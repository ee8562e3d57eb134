//! Bytes that are never shown.

/// A key, password or token. It has no `Debug` and no `Display`, and is overwritten when dropped.
pub(crate) struct Secret(zeroize::Zeroizing<Vec<u8>>);

impl Secret {
    pub(crate) fn new(bytes: impl Into<Vec<u8>>) -> Self {
        Self(zeroize::Zeroizing::new(bytes.into()))
    }

    /// `length` random bytes as hex.
    pub(crate) fn random(length: usize) -> Self {
        let mut bytes = zeroize::Zeroizing::new(vec![0; length]);
        aws_lc_rs::rand::fill(&mut bytes).expect("the kernel gives random bytes");
        Self::new(hex::encode(&*bytes))
    }

    pub(crate) fn expose(&self) -> &[u8] {
        &self.0
    }
}
