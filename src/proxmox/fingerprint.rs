//! SHA-256 of a certificate, as the web interface of Proxmox shows it.

use std::{fmt, str::FromStr};

use sha2::{Digest, Sha256};

/// SHA-256 of a certificate's DER bytes. Shown as upper-case hex pairs with colons.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fingerprint([u8; 32]);

/// The text is no fingerprint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a fingerprint is the SHA-256 of a certificate: 32 bytes as hex, with or without colons")]
pub struct ParseFingerprintError;

impl Fingerprint {
    /// The fingerprint of a certificate in DER form.
    pub fn of(certificate: &[u8]) -> Self {
        Self(Sha256::digest(certificate).into())
    }
}

impl FromStr for Fingerprint {
    type Err = ParseFingerprintError;

    /// Reads hex with or without colons, in either case, as browsers, openssl and Proxmox write it.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bare: String = text
            .trim()
            .chars()
            .filter(|letter| *letter != ':')
            .collect();
        let mut bytes = [0; 32];
        hex::decode_to_slice(&bare, &mut bytes).map_err(|_| ParseFingerprintError)?;
        Ok(Self(bytes))
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, byte) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str(":")?;
            }
            write!(f, "{byte:02X}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fingerprint({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_it_writes_and_what_openssl_writes() {
        let seen = Fingerprint::of(b"certificate");
        let text = seen.to_string();
        assert_eq!(text.len(), 95);
        assert_eq!(text.parse(), Ok(seen));
        assert_eq!(text.replace(':', "").to_lowercase().parse(), Ok(seen));
        assert_eq!("AA:BB".parse::<Fingerprint>(), Err(ParseFingerprintError));
    }
}
