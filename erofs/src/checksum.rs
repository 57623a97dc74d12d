//! CRC-32C, as EROFS has it: the register begins with ones, and is not inverted at
//! the end.

/// The polynomial of CRC-32C, its bits in reverse.
const POLYNOMIAL: u32 = 0x82f6_3b78;

const TABLE: [u32; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let mut value = byte as u32;
        let mut bit = 0;
        while bit < 8 {
            value = (value >> 1) ^ (POLYNOMIAL * (value & 1));
            bit += 1;
        }
        table[byte] = value;
        byte += 1;
    }
    table
};

/// A checksum of no bytes yet.
pub(crate) const START: u32 = !0;

/// The checksum with these bytes behind those that it is of.
pub(crate) fn with(sum: u32, bytes: &[u8]) -> u32 {
    let step = |sum: u32, byte: &u8| (sum >> 8) ^ TABLE[(sum as u8 ^ byte) as usize];
    bytes.iter().fold(sum, step)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The check value of the CRC catalogues, which invert it at the end.
    #[test]
    fn it_is_the_crc_of_iscsi_not_inverted() {
        assert_eq!(with(START, b"123456789"), !0xe306_9283);
        assert_eq!(with(with(START, b"1234"), b"56789"), !0xe306_9283, "in pieces");
    }
}
