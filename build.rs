//! Lays the vocabularies of OpenAI's tokenizers out, so that the program can read them where they lie. The library that has them would build hash maps of 27 MB
//! whenever the program first counts a text.

#[path = "src/tokens/table.rs"]
mod table;

use std::path::{Path, PathBuf};
use std::{env, fs, io};
use tiktoken_rs::CoreBPE;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=src/tokens/table.rs");
    let folder = PathBuf::from(env::var("OUT_DIR")?);
    write(&tiktoken_rs::cl100k_base()?, &folder.join("cl100k"))?;
    write(&tiktoken_rs::o200k_base()?, &folder.join("o200k"))?;
    Ok(())
}

fn write(vocabulary: &CoreBPE, file: &Path) -> io::Result<()> {
    // The special tokens, which no text is cut into, come behind the others, after a gap or without one.
    let special: Vec<u32> = vocabulary.special_tokens().iter().flat_map(|token| vocabulary.encode_with_special_tokens(token)).collect();
    let tokens: Vec<Vec<u8>> = (0u32..).take_while(|rank| !special.contains(rank)).map_while(|rank| vocabulary.decode_bytes(&[rank]).ok()).collect();
    let mut slots = vec![0u32; (tokens.len() * 2).next_power_of_two()];
    let mask = slots.len() - 1;
    let (mut bytes, mut ends) = (Vec::new(), Vec::new());
    for (rank, token) in (1u32..).zip(&tokens) {
        bytes.extend_from_slice(token);
        ends.push(u32::try_from(bytes.len()).map_err(io::Error::other)?);
        let mut at = table::hash(token) & mask;
        while slots[at] != 0 {
            at = (at + 1) & mask;
        }
        slots[at] = rank;
    }
    let words = |words: Vec<u32>| words.into_iter().flat_map(u32::to_le_bytes).collect::<Vec<u8>>();
    fs::write(file.with_extension("bytes"), bytes)?;
    fs::write(file.with_extension("ends"), words(ends))?;
    fs::write(file.with_extension("slots"), words(slots))
}
