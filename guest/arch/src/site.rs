//! Patch sites: pieces of code that the VMM overwrites with NOPs, before the
//! first instruction, where they are not wanted (`trapgate_abi::mitigation`).
//!
//! The instrumented image has them: `entry::steps` and `dispatch::row` make them, the
//! linker collects their rows, and the image's note says where they are.

/// `$code`, with a row in the table of sites. `$keep` is the name of an operand
/// of the asm block: the bit of `trapgate_abi::mitigation::keep` with which it
/// stays.
#[macro_export]
macro_rules! site {
    ($keep:literal, $code:expr) => {
        concat!(
            "771:\n",
            $code,
            "\n772:\n",
            ".pushsection .sites, \"a\"\n",
            ".quad 771b, 772b - 771b, {",
            $keep,
            "}\n",
            ".popsection\n",
        )
    };
}
pub use site;
