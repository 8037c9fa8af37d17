"""English words for what the toybox has, and words that say nothing by themselves."""

SPECIES_SYNONYMS = {
    "bear": "teddy grizzly",
    "rabbit": "bunny hare kangaroo mouse hamster",
    "frog": "toad",
    "monkey": "ape chimp chimpanzee gorilla orangutan baboon",
    "robot": "android cyborg droid astronaut cosmonaut spaceman",
    "dinosaur": "dino dragon crocodile alligator lizard tyrannosaurus",
    "fox": "squirrel",
    "dog": "puppy wolf hound husky coyote horse pony",
    "cat": "kitten kitty",
    "pig": "piglet boar hog",
    "lion": "tiger leopard cheetah panther puma",
    "elephant": "mammoth",
    "turtle": "tortoise",
    "sheep": "lamb goat",
    "duck": "duckling goose swan hen chicken rooster",
    "bird": "parrot eagle sparrow crow robin pigeon",
    "bee": "bumblebee wasp",
    "fish": "shark goldfish salmon",
    "whale": "dolphin orca",
    "octopus": "squid jellyfish",
    "crab": "lobster",
    "car": "truck bus van taxi automobile",
    "train": "locomotive tram",
    "flower": "rose tulip daisy sunflower plant",
}
"""Kind of toy to nouns that mean something of its build."""

MOTION_SYNONYMS = {
    "dancing": "play perform groove waltz",
    "waving": "greet salute",
    "walking": "march stroll step crawl stomp hike strut",
    "running": "jog sprint race gallop dash trot chase",
    "jumping": "leap bounce launch",
    "hopping": "skip",
    "nodding": "sing talk speak eat drink",
    "spinning": "twirl rotate turn whirl pirouette",
    "flapping": "fly flutter glide soar",
    "swimming": "dive float paddle surf",
    "stretching": "reach yawn",
    "sitting": "crouch squat rest",
    "bowing": "curtsy",
    "clapping": "applaud drum",
    "wiggling": "sway wobble shiver jiggle twist tremble",
    "kicking": "box fight",
    "tumbling": "roll flip cartwheel somersault",
    "driving": "ride",
}
"""Motion to verbs that look like it."""

COLOR_SYNONYMS = {
    "gray": "grey", "silver": "grey", "golden": "yellow", "gold": "yellow", "crimson": "red",
    "scarlet": "red", "violet": "purple", "lilac": "purple", "teal": "turquoise",
    "cyan": "turquoise", "beige": "tan", "rusty": "red-brown",
}  # fmt: skip
"""Colour to the toybox's name for it."""

FUNCTION_WORDS = """
a an the one some this that these those which who is are was were be being been am has have had will
would can could do does did doing and or while as then it its his her their they he she my our your
in on at of to into onto from by for with over under around up down through across off out very so
toy picture photo image drawing
"""
"""What may be left out without saying so."""
