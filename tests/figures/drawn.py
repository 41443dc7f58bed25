"""What stands on axes that were drawn on."""


def line(ax, label):
    (found,) = [one for one in ax.lines if one.get_label() == label]
    return found


def legend_texts(ax):
    return [text.get_text().replace("\n", " ") for text in ax.get_legend().get_texts()]
