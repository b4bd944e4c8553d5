//! Families of pretrained encoders: what Hugging Face's files of each family say and call things. A new
//! family is one more description here.

use std::fmt;

use clap::ValueEnum;
use cmpt_bundle::manifest::{FrontEnd, WordPieceSpec};
use cmpt_core::features::{MelSpec, PictureSpec};
use cmpt_core::modality::Kind;

use super::config::{Config, ConfigError};
use super::spec::{Activation, Embedding, EncoderSpec, Layout, Size, WordEmbedding};

/// A family of pretrained encoders.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Family {
    /// The vision tower of CLIP; without a `config.json` ViT-B/16.
    ClipVit,
    /// The audio spectrogram transformer; without a `config.json` base.
    Ast,
    /// BERT; without a `config.json` base, uncased.
    Bert,
    /// ViT, and DeiT with its distillation token; without a `config.json` ViT-B/16.
    Vit,
}

/// What the weights of a family are called.
pub(super) struct Names {
    /// Prefixes of which a file has one on all tensors of the encoder, or none if `""` is among them.
    pub prefixes: &'static [&'static str],
    /// From our names to the file's: each in turn, on what those before it left.
    pub renamed: &'static [(&'static str, &'static str)],
    /// Older endings of names.
    pub aliases: &'static [(&'static str, &'static str)],
    /// Beginnings of tensors that are no part of the encoder.
    pub skipped: &'static [&'static str],
    /// Dimensions of size 1 that come first in our shapes are absent in the file's.
    pub squeezed: bool,
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ClipVit => "clip-vit",
            Self::Ast => "ast",
            Self::Bert => "bert",
            Self::Vit => "vit",
        })
    }
}

impl Family {
    /// The family's encoder of base size, for texts of `tokens` tokens, and what makes its features.
    pub fn base(self, tokens: usize) -> Result<(EncoderSpec, FrontEnd), ConfigError> {
        let silent = Config::silent();
        let spec = self.describe(&silent, tokens)?;
        let front_end = self.front_end(&spec, &silent)?;
        Ok((spec, front_end))
    }

    /// The encoder that `config` describes, where it is silent as the family's own defaults are. `tokens`
    /// is how long a text is.
    ///
    /// Errors: a field that is not what it should be, or asks for what this program does not do.
    pub fn describe(self, config: &Config, tokens: usize) -> Result<EncoderSpec, ConfigError> {
        let spec = match self {
            Self::ClipVit => clip_vit(&config.section("vision_config")?)?,
            Self::Ast => ast(config)?,
            Self::Bert => bert(config, tokens)?,
            Self::Vit => vit(config)?,
        };
        spec.validate().map_err(|source| config.no_encoder(source))?;
        Ok(spec)
    }

    /// What makes the features of `spec`, as `preprocessor` has it, else as the family was trained.
    pub fn front_end(self, spec: &EncoderSpec, preprocessor: &Config) -> Result<FrontEnd, ConfigError> {
        match &spec.embedding {
            Embedding::Patches(patches) if patches.layout == Layout::Spectrogram => {
                Ok(FrontEnd::LogMel(MelSpec {
                    sample_rate_hz: 16_000,
                    window_samples: 400,
                    hop_samples: 160,
                    fft_samples: 512,
                    n_mels: patches.height,
                    low_hz: 20.0,
                    high_hz: 8000.0,
                    steps: patches.width,
                    mean: preprocessor.number("mean", -4.267_739_3)? as f32,
                    divisor: 2.0 * preprocessor.number("std", 4.568_997_4)? as f32,
                    range_db: None,
                }))
            }
            Embedding::Patches(patches) => {
                let (mean, std) = if self == Self::ClipVit { CLIP_COLOURS } else { ([0.5; 3], [0.5; 3]) };
                Ok(FrontEnd::Picture(PictureSpec {
                    edge: patches.height,
                    mean: preprocessor.colours("image_mean", mean)?,
                    std: preprocessor.colours("image_std", std)?,
                }))
            }
            Embedding::Words(words) => {
                Ok(FrontEnd::WordPiece(WordPieceSpec { tokens: words.tokens, padding: words.padding }))
            }
        }
    }

    /// What kind of signal it takes, in `frames` parts a window.
    pub fn kind(self, frames: usize) -> Kind {
        match self {
            Self::Ast => Kind::Audio,
            Self::Bert => Kind::Text,
            Self::ClipVit | Self::Vit if frames == 1 => Kind::Image,
            Self::ClipVit | Self::Vit => Kind::Video,
        }
    }

    /// `model_type` of a `config.json`.
    pub(super) fn model_types(self) -> &'static [&'static str] {
        match self {
            Self::ClipVit => &["clip", "clip_vision_model"],
            Self::Ast => &["audio-spectrogram-transformer"],
            Self::Bert => &["bert"],
            Self::Vit => &["vit", "deit"],
        }
    }

    pub(super) fn names(self) -> Names {
        match self {
            Self::ClipVit => Names {
                prefixes: &["vision_model."],
                renamed: &[
                    ("embeddings.cls_token", "embeddings.class_embedding"),
                    ("embeddings.position_embeddings", "embeddings.position_embedding.weight"),
                    ("embeddings.patch_embeddings.projection", "embeddings.patch_embedding"),
                    ("embeddings.norm", "pre_layrnorm"),
                    ("encoder.layer.", "encoder.layers."),
                    ("attention.attention.query", "self_attn.q_proj"),
                    ("attention.attention.key", "self_attn.k_proj"),
                    ("attention.attention.value", "self_attn.v_proj"),
                    ("attention.output.dense", "self_attn.out_proj"),
                    ("layernorm_before", "layer_norm1"),
                    ("layernorm_after", "layer_norm2"),
                    ("intermediate.dense", "mlp.fc1"),
                    ("output.dense", "mlp.fc2"),
                    ("layernorm.", "post_layernorm."),
                ],
                aliases: &[],
                skipped: &[
                    "text_model.",
                    "visual_projection.",
                    "text_projection.",
                    "logit_scale",
                    "vision_model.embeddings.position_ids",
                ],
                squeezed: true,
            },
            Self::Ast => Names {
                prefixes: &["audio_spectrogram_transformer.", ""],
                renamed: &[],
                aliases: &[],
                skipped: &["classifier."],
                squeezed: false,
            },
            Self::Bert => Names {
                prefixes: &["bert.", ""],
                renamed: &[
                    ("embeddings.norm", "embeddings.LayerNorm"),
                    ("attention.attention.", "attention.self."),
                    ("layernorm_before", "attention.output.LayerNorm"),
                    ("layernorm_after", "output.LayerNorm"),
                ],
                aliases: &[("LayerNorm.weight", "LayerNorm.gamma"), ("LayerNorm.bias", "LayerNorm.beta")],
                skipped: &["cls.", "classifier.", "embeddings.position_ids", "bert.embeddings.position_ids"],
                squeezed: false,
            },
            Self::Vit => Names {
                prefixes: &["vit.", "deit.", ""],
                renamed: &[],
                aliases: &[],
                skipped: &[
                    "classifier.",
                    "cls_classifier.",
                    "distillation_classifier.",
                    "pooler.",
                    "vit.pooler.",
                    "deit.pooler.",
                ],
                squeezed: false,
            },
        }
    }
}

/// Mean and standard deviation of red, green and blue, as CLIP was trained.
const CLIP_COLOURS: ([f32; 3], [f32; 3]) =
    ([0.481_454_66, 0.457_827_5, 0.408_210_73], [0.268_629_54, 0.261_302_6, 0.275_777_1]);

fn clip_vit(config: &Config) -> Result<EncoderSpec, ConfigError> {
    // The only default of Hugging Face's that is not ViT-B/16's.
    let patch = config.size("patch_size", if config.is_absent() { 16 } else { 32 })?;
    let mut spec = EncoderSpec::clip_vit(size(config)?, config.size("image_size", 224)?, patch);
    if let Embedding::Patches(patches) = &mut spec.embedding {
        patches.channels = config.size("num_channels", 3)?;
    }
    spec.activation = activation(config, Activation::QuickGelu)?;
    spec.layer_norm_eps = config.number("layer_norm_eps", 1e-5)?;
    Ok(spec)
}

fn ast(config: &Config) -> Result<EncoderSpec, ConfigError> {
    let patch = config.size("patch_size", 16)?;
    let stride = [config.size("frequency_stride", 10)?, config.size("time_stride", 10)?];
    let (steps, mels) = (config.size("max_length", 1024)?, config.size("num_mel_bins", 128)?);
    let spec = EncoderSpec::ast(size(config)?, steps, mels, patch, 1).with_patches([patch, patch], stride);
    biased(config, spec)
}

fn vit(config: &Config) -> Result<EncoderSpec, ConfigError> {
    let (edge, patch) = (config.size("image_size", 224)?, config.size("patch_size", 16)?);
    let mut spec = EncoderSpec::vit(size(config)?, config.size("num_channels", 3)?, edge, patch);
    if config.text("model_type", "vit")? == "deit" {
        spec.class_tokens = 2;
    }
    biased(config, spec)
}

fn bert(config: &Config, tokens: usize) -> Result<EncoderSpec, ConfigError> {
    config.expect_text("position_embedding_type", &["absolute"])?;
    let words = WordEmbedding {
        vocabulary: config.size("vocab_size", 30_522)?,
        positions: config.size("max_position_embeddings", 512)?,
        types: config.size("type_vocab_size", 2)?,
        tokens,
        padding: config.index("pad_token_id", 0)?,
    };
    let mut spec = EncoderSpec::bert(size(config)?, words);
    spec.activation = activation(config, Activation::Gelu)?;
    spec.layer_norm_eps = config.number("layer_norm_eps", 1e-12)?;
    Ok(spec)
}

/// What AST and ViT have in common.
fn biased(config: &Config, mut spec: EncoderSpec) -> Result<EncoderSpec, ConfigError> {
    config.expect_true("qkv_bias")?;
    spec.activation = activation(config, Activation::Gelu)?;
    spec.layer_norm_eps = config.number("layer_norm_eps", 1e-12)?;
    Ok(spec)
}

fn size(config: &Config) -> Result<Size, ConfigError> {
    Ok(Size {
        width: config.size("hidden_size", Size::BASE.width)?,
        depth: config.size("num_hidden_layers", Size::BASE.depth)?,
        heads: config.size("num_attention_heads", Size::BASE.heads)?,
        mlp: config.size("intermediate_size", Size::BASE.mlp)?,
    })
}

fn activation(config: &Config, default: Activation) -> Result<Activation, ConfigError> {
    let name = |activation| if activation == Activation::Gelu { "gelu" } else { "quick_gelu" };
    config.expect_text("hidden_act", &["gelu", "quick_gelu"])?;
    let found = config.text("hidden_act", name(default))?;
    Ok(if found == "gelu" { Activation::Gelu } else { Activation::QuickGelu })
}
