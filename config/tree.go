package config

import "github.com/evenkeel/evenkeel/model"

// Word is one word of a statement, without its quotes.
type Word struct {
	Text string
	Pos  model.Position
	// Quoted is set when the word was written in double quotes.
	Quoted bool
}

// Statement is a keyword, its arguments and perhaps a block.
type Statement struct {
	// Words holds the keyword and its arguments, at least one word.
	Words []Word
	// Raw is the text after the keyword as it stands in the file after
	// expansion, without comment and surrounding blanks. Script and regex
	// keywords split it by their own rules.
	Raw string
	// Block is what stands in braces, or nil.
	Block *Block
}

// Block is the statements between two braces, or a whole configuration.
type Block struct {
	Statements []Statement
	// Open and Close are the places of the braces; zero for a configuration.
	Open, Close model.Position
}
