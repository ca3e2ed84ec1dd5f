"""The words of the demo world and what each looks like.

A word's index in its tuple is the number a scene holds. No word has a synonym here, so a caption
with one word exchanged is always wrong. Every list but `MATERIALS` is long enough for the number
of hard negatives of the published FG-OVD sets (colour 10, pattern 7, transparency 2). Eleven
materials cannot be told apart at 64 pixels: six exist, and the Material set has 5 negatives.
"""

CLASSES = ("ball", "cube", "cylinder", "cone", "ring", "pyramid")
COLOURS = tuple("red orange yellow green turquoise blue purple pink brown black grey white".split())
MATERIALS = ("clay", "plastic", "metal", "wooden", "stone", "velvet")
PATTERNS = ("plain", "striped", "dotted", "checkered", "zigzag", "spiral", "latticed", "speckled")
TRANSPARENCIES = ("opaque", "translucent", "transparent")
SKIES = ("clear", "cloudy", "sunset", "night", "overcast")
GROUNDS = ("grass", "sand", "snow", "water", "tiles")
BACKDROPS = ("open", "hills", "mountains", "trees")

# In the order of an English noun phrase: "a transparent red striped metal cube".
ATTRIBUTES: dict[str, tuple[str, ...]] = {
    "transparency": TRANSPARENCIES,
    "colour": COLOURS,
    "pattern": PATTERNS,
    "material": MATERIALS,
}
